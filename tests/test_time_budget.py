"""`search.hours`: no round begins after them, and every gate has the same number of trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.results.comparing import compare
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import SpecError
from tests.handing import next_job
from tests.in_process import gatelab
from tests.launched import read
from tests.test_known_configurations import content
from tests.test_rounds import GATES, ROUNDS, SPACE, result


class Clock:
    """Tells the time that it is set to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def opened(folder: Path, clock: Clock, hours: float = 1.0) -> Sweep:
    spaces, rounds = dict.fromkeys(GATES, SPACE), dict.fromkeys(GATES, ROUNDS)
    found = open_studies(folder / "journal", spaces, rounds, sampler="tpe", seed=0)
    plan = Plan(64, 1, 2, 0, hours=hours)
    return Sweep(plan, dict.fromkeys(GATES, "softmax"), found, clock=clock)


def run(sweep: Sweep, until: int | None = None) -> None:
    """Do jobs one after another until the sweep is over, or so many trials have ended."""
    running = [job for jobs in sweep.running.values() for job in jobs]  # handed out before
    while not sweep.finished:
        if until is not None and sum(study.ended for study in sweep.studies.values()) >= until:
            return
        while len(running) < 3 and (job := next_job(sweep)) is not None:
            running.append(job)
        job = running.pop(0)
        sweep.progress(job, result(job))


def test_the_round_that_any_gate_is_in_is_every_gates_last(tmp_path: Path) -> None:
    clock = Clock()
    sweep = opened(tmp_path, clock)
    run(sweep, until=3 * ROUNDS.size + 1)
    begun = max(study.begun for study in sweep.studies.values())
    assert begun == 2 * ROUNDS.size
    clock.seconds += 3600
    run(sweep)
    assert [study.ended for study in sweep.studies.values()] == [begun] * 3
    assert sweep.trials == begun and not sweep.follow_up.without_score()


def test_before_the_hours_are_over_nothing_is_cut(tmp_path: Path) -> None:
    clock = Clock()
    sweep = opened(tmp_path, clock)
    run(sweep, until=3 * ROUNDS.size + 1)
    clock.seconds += 3599
    assert next_job(sweep) is not None and sweep.trials == 64


def test_a_resume_goes_on_counting_and_a_stop_does_not_count(tmp_path: Path) -> None:
    clock = Clock()
    sweep = opened(tmp_path, clock)
    run(sweep, until=5)
    clock.seconds += 1800
    run(sweep, until=6)
    later = Clock()
    later.seconds = 1e9
    sweep = opened(tmp_path, later)
    run(sweep, until=8)
    assert sweep.trials == 64
    later.seconds += 1800
    run(sweep, until=10)
    assert sweep.trials == ROUNDS.size
    again = opened(tmp_path, Clock())
    assert again.trials == ROUNDS.size, "what is decided stays so"
    run(again)
    assert [study.ended for study in again.studies.values()] == [ROUNDS.size] * 3


def test_at_least_one_round_is_made(tmp_path: Path) -> None:
    sweep = opened(tmp_path, clock := Clock(), hours=1e-9)
    clock.seconds += 1
    run(sweep)
    assert [study.ended for study in sweep.studies.values()] == [ROUNDS.size] * 3


def test_a_sweep_says_that_its_time_was_over(place: Path) -> None:
    found = content({}, trials=6)
    found["search"] |= {"rounds": 3, "hours": 1e-6}
    (place / "known.yaml").write_text(parse_spec(found).to_yaml())
    said = gatelab(place, "launch", "known.yaml")
    line = "fter 1e-06 h (search.hours) the search ended, with 2 of 6 trials of every gate."
    assert f"warning: a{line}" in said
    record = read(place, "known")
    assert f"A{line}" in record.warnings
    assert record.run is not None and record.run.params["search.hours"] == "1e-06"
    assert record.run.params["search.first"] == "{}"
    assert len(record.of("search", "softmax")) == 2
    budgets = compare("known", folder=place / "gatelab_runs").budgets
    assert [budget.trials for budget in budgets if budget.gate == "softmax"] == [2]
    assert "softmax 2/2, evaluated" in gatelab(place, "status")


@pytest.mark.parametrize("hours", [0, -1, True, "2"])
def test_hours_are_a_number_above_0(hours: object) -> None:
    found = content({})
    found["search"] |= {"hours": hours}
    with pytest.raises(SpecError, match="search.hours"):
        parse_spec(found)
