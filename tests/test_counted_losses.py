"""Which runs count as lost of a search and of a spool, run by run and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gatelab.sweeps.driver.record.losses import told_losses
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from gatelab.training.jobs import Job
from tests.test_rounds import SPACE, result
from tests.test_together import trial

SPEC = parse_spec({"name": "c", "task": "synthetic_groups", "gates": ["softmax", "top_k"]})
NOBODY = tuple[str, ...]()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path, SPEC, None, None)


@pytest.fixture
def recorder(home: Home, place: Path) -> Iterator[Recorder]:
    uri = default_uri(place)
    artifacts = place / "artifacts"
    taken = Recorder(home.spool, uri=uri, experiment="e", sweep="c", artifacts=artifacts)
    yield taken
    taken.close()


def record(recorder: Recorder, *ended: str, under_way: tuple[str, ...] = NOBODY) -> None:
    """Record runs by what follows the sweep's name."""
    for run in (*ended, *under_way):
        tags = {"sweep": "c", "stage": "search"}
        recorder.start_run(f"c/{run}", parent=None, name=run, tags=tags, params={})
    for run in ended:
        recorder.end_run(f"c/{run}", "FINISHED", {})


def searches(home: Home, *over: int) -> dict[str, Study]:
    """Return a search with trials 0 to 3, of which some are over, and one that has not begun."""
    names = ("softmax", "top_k")
    spaces, rounds = dict.fromkeys(names, SPACE), dict.fromkeys(names, Rounds(4))
    path = home.path / "studies.journal"
    found = open_studies(path, spaces, rounds, sampler="random", seed=0)
    for _ in range(4):
        assert found["softmax"].ask(4)
    for number in over:
        (ending,) = result(trial(number, 0.1, gamma=2.0)).endings or ()
        found["softmax"].tell(number, ending)
    return found


def evaluation(number: int, seeds: int) -> Job:
    job = trial(number, 0.1)
    return replace(job, stage="evaluate", label="softmax", members=job.members * seeds)


def test_what_is_noted_and_recorded_alike_is_no_loss(home: Home, recorder: Recorder) -> None:
    """Nor is a trial that was stopped, nor what is no trial: a gate, or an evaluation."""
    record(recorder, "softmax/search/0", "softmax/evaluate/7", under_way=("softmax/search/1",))
    record(recorder, under_way=("softmax", "softmax/evaluate/8"))
    assert told_losses(home, recorder, searches(home, 0), []) == ("", "")


def test_trials_that_a_search_lacks(home: Home, recorder: Recorder) -> None:
    """Trial 2 lacks its end there; trial 4 and one of the other search are not known at all."""
    record(recorder, *(f"softmax/search/{number}" for number in (0, 2)))
    record(recorder, under_way=("softmax/search/1", "softmax/search/4", "top_k/search/0"))
    trained_again, not_recorded = told_losses(home, recorder, searches(home, 0), [])
    assert not not_recorded
    file = home.path / "studies.journal"
    assert trained_again.startswith(f"the file {file} lacks 3 of 5 trials that were recorded, or")


def test_runs_that_a_spool_lacks(home: Home, recorder: Recorder) -> None:
    """The end of trial 3, and of an evaluation's seeds 5 to 7 all but the second."""
    record(recorder, "softmax/search/0", "softmax/evaluate/6", under_way=("softmax/search/3",))
    found = told_losses(home, recorder, searches(home, 0, 3), [evaluation(5, 3)])
    assert not found[0]
    assert found[1].startswith(f"the spool {home.spool} lacks 3 of 5 trials and evaluations that")
