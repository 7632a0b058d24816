"""Which evaluations a sweep takes over from another, where several make up its seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from gatelab.sweeps.cluster.storage import Storage, model_name
from gatelab.sweeps.driver.succession.taken_evaluations import Taken
from gatelab.sweeps.export.recorded import saved_model
from gatelab.sweeps.home.files import scores_file
from gatelab.sweeps.home.scores import Evaluated, read_scores, write_scores
from gatelab.sweeps.search.attributes import EVALUATED, SEEDS_TOGETHER, TAKEN_OVER
from gatelab.sweeps.spec.numbering import Numbering

FIVE = ("one/evaluate/0", "one/evaluate/2")
"""The jobs of five seeds, of which four train together at most."""


def study(**attributes: Any) -> optuna.Study:
    found = optuna.create_study()
    for name, value in attributes.items():
        found.set_user_attr(name, value)
    return found


def keep(home: Path, *numbers: int, label: str = "one") -> None:
    """Leave the scores and the model of evaluations in a home, which is its storage too."""
    for number in numbers:
        write_scores(scores_file(home, label, number), [Evaluated(number, {}, [[1.0]], [[1.0]])])
        model = home / "a model"
        torch.save({"gate": "one gate", "configuration": {}, "seed": number, "state": {}}, model)
        Storage(home).put(model, model_name(label, number))


def taken(home: Path, finished: tuple[str, ...], had: int, has: int, **noted: Any) -> Taken:
    before = study(**{EVALUATED: list(finished), SEEDS_TOGETHER: 4, **noted})
    numbers = Numbering(had, 1), Numbering(has, 1)
    return Taken.of({"one": before}, home, Storage(home), *numbers)


def test_all_that_make_up_the_seeds_are_taken_over_as_one(tmp_path: Path) -> None:
    keep(tmp_path, 0, 2)
    found = taken(tmp_path, FIVE, 5, 8)
    assert found.jobs == {"one": {FIVE[0]: FIVE}} and found.runs == 5
    other = study()
    found.mark({"one": other})
    assert other.user_attrs == {TAKEN_OVER: {"one/0": 5}, EVALUATED: [*FIVE]}
    parts = Numbering(8, 1).parts(other.user_attrs[TAKEN_OVER]["one/0"], 4)
    assert [[*part] for part in parts] == [[0, 1, 2, 3, 4], [5, 6, 7]]


def test_of_a_part_nothing_is_taken_over(tmp_path: Path) -> None:
    keep(tmp_path, 0, 2)
    assert taken(tmp_path, FIVE[:1], 5, 8).runs == 0
    assert taken(tmp_path, FIVE[1:], 5, 8).runs == 0
    scores_file(tmp_path, "one", 2).unlink()
    assert taken(tmp_path, FIVE, 5, 8).runs == 0


def test_splits_and_rows_are_taken_over_each_by_itself(tmp_path: Path) -> None:
    """Eight seeds on two splits, four together: the jobs 4 and 8 would be as many of neither."""
    jobs = {label: [f"{label}/evaluate/{n}" for n in (0, 4, 8, 12)] for label in ("one", "row")}
    for label in jobs:
        keep(tmp_path, 0, 4, 8, 12, label=label)
    before = study(**{EVALUATED: [*jobs["one"], *jobs["row"]], SEEDS_TOGETHER: 4})
    numbers = Numbering(8, 2), Numbering(8, 2)
    found = Taken.of({"one": before}, tmp_path, Storage(tmp_path), *numbers)
    assert found.jobs["one"] == {
        of[first]: (of[first], of[first + 1]) for of in jobs.values() for first in (0, 2)
    }
    assert found.runs == 32


def test_what_was_taken_over_twice_keeps_all_its_scores(tmp_path: Path) -> None:
    """As one job of five seeds it has the scores of two; the new ones have theirs."""
    before, after = tmp_path / "before", tmp_path / "after"
    keep(before, 0, 2, 5)
    keep(before, 8)  # of another split
    jobs = (*FIVE, "one/evaluate/5")
    found = taken(before, jobs, 8, 10, **{TAKEN_OVER: {"one/0": 5}})
    assert found.runs == 8
    scores_file(before, "one", 2).write_text("[")
    assert taken(before, jobs, 8, 10, **{TAKEN_OVER: {"one/0": 5}}).runs == 0
    keep(before, 2)
    found.copy(before, after, Storage(before), Storage(after))
    assert len([*after.rglob("evaluation-*.json")]) == 3
    for number in (0, 2, 5):
        (scores,) = read_scores(scores_file(after, "one", number))
        assert scores.seed == number
        model = tmp_path / "model"
        assert Storage(after).get(model_name("one", number), model)
        assert saved_model(model)["seed"] == number


def rotten(path: Path) -> None:
    """Change a byte, which torch alone does not see."""
    found = path.read_bytes()
    path.write_bytes(found.replace(b"one gate", b"ono gate", 1))
    assert torch.load(path, weights_only=True)["gate"] == "ono gate"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (rotten, "is no model that can be read"),
        (lambda path: path.write_text("2"), "is no model that can be read"),
        (lambda path: torch.save({"seed": 2}, path), "is no model that can be read"),
        (Path.unlink, "is gone"),
    ],
)
def test_a_model_that_cannot_be_taken_over_is_named_and_its_seeds_begin_anew(
    damage: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    keep(tmp_path, 0, 2)
    assert taken(tmp_path, FIVE, 5, 8).faults == ()
    model = tmp_path / model_name("one", 2)
    damage(model)
    found = taken(tmp_path, FIVE, 5, 8)
    assert found.runs == 0
    assert found.faults == (f"{model} {why}: 5 seeds of one/evaluate begin anew.",)


def test_a_constant_leaves_no_model(tmp_path: Path) -> None:
    keep(tmp_path, 0, 2)
    write_scores(scores_file(tmp_path, "one", 2), [Evaluated(2, {}, [], [])])
    (tmp_path / model_name("one", 2)).unlink()
    assert taken(tmp_path, FIVE, 5, 8).runs == 5
