"""What a gate's run says over all of its searches, splits and seeds, by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatelab.sweeps.cluster.storage import model_name
from gatelab.sweeps.driver.record.summaries import Summaries
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.search.attributes import EVALUATED
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member
from gatelab.training.steps import Ending
from tests.test_rounds import SPACE

GATE = "softmax"
OBJECTIVES = {GATE: (0.5, 0.9), f"{GATE}/1": (0.7, 0.3)}
"""Of the trials of each search: the second trial of the second is the best."""
SIZES = {"num_targets": 2, "train_rows": 32, "val_rows": 16, "test_rows": 16}
SPEC = parse_spec(
    {
        "name": "c",
        "task": {"name": "synthetic_groups", **SIZES},
        "gates": [GATE],
        "search": {"trials": 2, "repeats": 2},
        "evaluation": {"seeds": 2, "splits": 2},
    }
)
ONE, TWO, HALF = [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]
SCORES: dict[int, list[tuple[float, list[list[float]]]]] = {
    0: [(1, [ONE, TWO]), (3, [TWO, ONE])],
    2: [(8, [ONE, ONE])],  # its second seed has failed
    4: [(2, [HALF, HALF])],
    5: [(4, [ONE, ONE])],
    6: [(5, [ONE, TWO]), (7, [HALF, HALF])],
}
"""Test losses and mean weights by the evaluation: of two splits after the first search, 0 and 2,
and after the second, whose seeds on the first split are two evaluations, 4 and 5, and then 6."""


@pytest.fixture
def studies(tmp_path: Path) -> dict[str, Study]:
    spaces, rounds = dict.fromkeys(OBJECTIVES, SPACE), dict.fromkeys(OBJECTIVES, Rounds(2))
    found = open_studies(tmp_path / "journal", spaces, rounds, sampler="random", seed=0)
    for name, objectives in OBJECTIVES.items():
        for number, objective in enumerate(objectives):
            assert found[name].ask(2)
            found[name].tell(number, Ending("finished", "", 8, objective))
    return found


def evaluate(summaries: Summaries, home: Home, number: int) -> None:
    """Let an evaluation end, of which the second seed fails where it has no score."""
    scores = SCORES[number]
    endings = [
        Ending("finished", "", 8, 0.0, False, measured(loss), weights=weights, load=weights)
        for loss, weights in scores
    ]
    if number == 2:
        endings.append(Ending("failed", "", 1, 0.0, metrics={"test/loss": 99.0}))
    seeds = [100 + number + at for at in range(len(endings))]
    members = tuple(Member(Configuration({}), seed) for seed in seeds)
    search = GATE if number < 4 else f"{GATE}/1"
    job = Job("evaluate", GATE, GATE, members, number, search=search)
    summaries.ended(job, endings)
    model = home.path / "model"
    model.write_text(str(number))
    home.storage.put(model, model_name(GATE, number))
    study = summaries.studies[search]
    study.mark(**{EVALUATED: [*study.attributes.get(EVALUATED, []), job.name]})


def measured(loss: float) -> dict[str, float]:
    """Return metrics, whose objective is better where the loss is worse."""
    settled = {"gate/settled_epoch": 3.0} if loss == 1 else {}
    return {"objective": 10 - loss, "test/loss": loss, **settled}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path, SPEC, None, None)


@pytest.fixture
def recorded(home: Home, studies: dict[str, Study], place: Path) -> Iterator[list[dict[str, Any]]]:
    """What is recorded once the gate has ended."""
    uri, artifacts = default_uri(place), place / "artifacts"
    recorder = Recorder(home.spool, uri=uri, experiment="e", sweep="c", artifacts=artifacts)
    for identity, parent in (("c", None), (f"c/{GATE}", "c")):
        recorder.start_run(identity, parent=parent, name=identity, tags={"sweep": "c"}, params={})
    summaries = Summaries(recorder, SPEC, make_task(SPEC), studies, home)
    for number in SCORES:
        evaluate(summaries, home, number)
    summaries.gate_ended(GATE, "")
    yield [json.loads(line) for line in home.spool.read_text().splitlines()]
    recorder.close()


def test_a_gates_run_by_hand(
    recorded: list[dict[str, Any]], home: Home, studies: dict[str, Study]
) -> None:
    """Means are of searches, of their splits, of these' seeds: ((2 + 8) / 2 + (3 + 6) / 2) / 2.

    Of the six pairs of the first split's four seeds one agrees in all and five in half of it.
    """
    (params,) = (one["params"] for one in recorded if one["kind"] == "params")
    best = studies[f"{GATE}/1"].study.trials[1].params["gate.gamma"]
    assert params["gate.gamma"] == str(best)
    *seeds, means = (one for one in recorded if one["kind"] == "metrics")
    assert means["values"]["test/loss"] == pytest.approx(4.75)
    assert means["values"]["gate/seed_agreement"] == pytest.approx(7 / 12)
    assert "gate/settled_epoch" not in means["values"]
    own = [(one["series"], one["step"], one["values"]["test/loss"]) for one in seeds]
    losses = {number + at: loss for number, of in SCORES.items() for at, (loss, _) in enumerate(of)}
    assert own == [(f"seed {n}", 5 + n, loss) for n, loss in losses.items()], "after four trials"
    assert not any("gate/settled_epoch" in one["values"] for one in seeds)
    assert (means["series"], means["step"]) == ("mean of 7", 5 + 8), "after all that there may be"
    table, model = (home.path / one["path"] for one in recorded if one["kind"] == "artifact")
    assert model.read_text() == "5", "of the best search's first split the best seed's"
    _, *rows = csv.reader(table.read_text().splitlines())
    seeds_told = dict.fromkeys(row[0] for row in rows)
    assert [*seeds_told] == ["100", "101", "104", "105"], "of the first split"
    assert [row[3:] for row in rows[:4]] == [
        *(["0", "1.0", "1.0"], ["1", "0.0", "0.0"]),
        *(["0", "0.0", "0.0"], ["1", "1.0", "1.0"]),
    ]
