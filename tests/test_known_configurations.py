"""`search.first`: what may stand there, and that it is what the search tries first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import SpecError
from tests.in_process import gatelab
from tests.launched import read

SMALL = {"name": "synthetic_groups", "num_targets": 2, "train_rows": 64, "val_rows": 32}


def content(first: Any, trials: int = 3) -> dict[str, Any]:
    return {
        "name": "known",
        "task": {**SMALL, "test_rows": 32},
        "model": {"num_experts": 4},
        "gates": {"top_k": {"k": [1, 2, 4]}, "softmax": None},
        "baselines": False,
        "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        "training": {"max_epochs": 2, "batch_size": 32},
        "search": {"trials": trials, "first": first},
        "evaluation": {"seeds": 2},
    }


def test_what_is_fixed_may_be_said_again_and_integers_are_numbers() -> None:
    first = {"top_k": [{"gate.k": 4, "optimizer.learning_rate": 0.01, "optimizer.name": "adam"}]}
    spec = parse_spec(content(first))
    assert space(spec, "top_k", make_task(spec)).known == (
        {"gate.k": 4, "optimizer.learning_rate": 0.01},
    )
    assert space(spec, "softmax", make_task(spec)).known == ()


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"topk": [{}]}, "search.first.topk: is no gate of the spec; did you mean 'top_k'?"),
        ({"top_k": [{"gate.kk": 2}]}, "search.first.top_k.0.gate.kk: is not searched; did you"),
        ({"top_k": [{"gate.k": 3}]}, "gate.k: must be one of those that are searched, [1, 2, 4],"),
        (
            {"top_k": [{}, {"optimizer.learning_rate": 1}]},
            "top_k.1.optimizer.learning_rate: must be one of those that are searched, "
            "{low: 0.0001, high: 0.01, log: true}, but got 1.",
        ),
        ({"top_k": [{"optimizer.name": "sgd"}]}, "is fixed to 'adam', but got 'sgd'."),
        (
            {"top_k": [{}, {}, {}]},
            "at most 2 fit into the first round beside the default, but got 3",
        ),
        ({"top_k": {"gate.k": 2}}, "search.first.top_k"),
    ],
)
def test_what_cannot_be_tried_is_one_line(first: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(content(first))
    assert said in str(caught.value) and len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("searched", "said"),
    [
        ([1, 2], "[1.0, 2.0]"),
        ({"low": 1, "high": 3}, "{low: 1.0, high: 3.0}"),
        ({"low": 1, "high": 3, "step": 1}, "{low: 1.0, high: 3.0, step: 1.0}"),
    ],
)
def test_numbers_are_taken_as_the_search_has_them(searched: Any, said: str) -> None:
    """As a `when` takes them: 0 of real numbers is 0.0; and nothing of Optuna's is in a line."""
    own = {"noise": [0, 0.3], "gamma": searched, "static": [True, False]}

    def read(**first: Any) -> tuple[dict[str, Any], ...]:
        given = {f"gate.{name}": value for name, value in first.items()}
        found = parse_spec(
            content({"dselect_k": [given]}) | {"gates": {"dselect_k": {"k": 2, **own}}}
        )
        return space(found, "dselect_k", make_task(found)).known

    (known,) = read(noise=0, gamma=2, static=False, k=2)
    assert repr(known) == "{'gate.noise': 0.0, 'gate.gamma': 2.0, 'gate.static': False}"
    with pytest.raises(SpecError) as caught:
        read(noise=0, gamma=3.5)
    assert str(caught.value).endswith(
        f"gamma: must be one of those that are searched, {said}, but got 3.5."
    )
    for wrong in ({"static": 0}, {"noise": False}):
        with pytest.raises(SpecError, match="must be one of those that are searched"):
            read(**wrong)


@pytest.mark.parametrize(
    ("searched", "said"),
    [
        ({"low": 2, "high": 6}, "{low: 2, high: 6}"),
        ({"low": 2, "high": 6, "step": 2}, "{low: 2, high: 6, step: 2}"),
        ({"low": 2, "high": 6, "log": True}, "{low: 2, high: 6, log: true}"),
    ],
)
def test_ranges_of_whole_numbers_are_said_as_a_spec_says_them(searched: Any, said: str) -> None:
    first = {"softmax": [{"model.num_experts": 8}]}
    with pytest.raises(SpecError) as caught:
        parse_spec(content(first) | {"model": {"num_experts": searched}})
    assert f"are searched, {said}, but got 8." in str(caught.value)


def test_the_spec_loads_again_as_it_is_written(tmp_path: Path) -> None:
    spec = parse_spec(content({"top_k": [{"gate.k": 1}]}))
    (tmp_path / "again.yaml").write_text(spec.to_yaml())
    assert load_spec(tmp_path / "again.yaml") == spec


def test_a_sweep_tries_them_first(place: Path) -> None:
    known = {"gate.k": 4, "optimizer.learning_rate": 0.005}
    spec = parse_spec(content({"top_k": [known]}))
    (place / "known.yaml").write_text(spec.to_yaml())
    said = gatelab(place, "launch", "known.yaml")
    assert "top_k: trial 1 " in said
    (tried,) = [r for r in read(place, "known").of("search", "top_k") if r.tags["trial"] == "1"]
    assert {name: tried.params[name] for name in known} == {n: str(v) for n, v in known.items()}
