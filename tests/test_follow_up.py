"""What a sweep knows of the evaluations that follow from its searches, and what a stop leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.sweeps.driver.evaluations import Plan
from gatelab.training.steps import Ending, Step
from tests.handing import next_job
from tests.test_repeats import Heard, opened, result

PLAN = Plan(8, 2, 2, 7, splits=(0, 1), width=2)
"""Eight trials, then two evaluations of two seeds."""


def test_after_a_stop_each_evaluation_goes_on_from_its_own_state(tmp_path: Path) -> None:
    sweep = opened(tmp_path, ["fixed"], PLAN, Heard())
    jobs = [job for _ in range(2) if (job := next_job(sweep))]
    assert [job.name for job in jobs] == ["fixed/evaluate/0", "fixed/evaluate/2"]
    for job in jobs:
        sweep.keep_state(job, f"states/{job.number}")
    again = opened(tmp_path, ["fixed"], PLAN, Heard())
    assert [again.saved_state(job) for job in jobs] == ["states/0", "states/2"]


def test_an_evaluation_of_which_one_seed_has_a_score_is_not_repeated(tmp_path: Path) -> None:
    sweep = opened(tmp_path, ["fixed"], PLAN, Heard())
    job = next_job(sweep)
    assert job is not None
    endings = [Ending("failed", "no rows", 0, 0), Ending("finished", "", 8, 0.5)]
    sweep.progress(job, Step(8, 0.5, False, [], endings))
    again = opened(tmp_path, ["fixed"], PLAN, Heard())
    assert [one.name for one in again.follow_up.scored()] == ["fixed/evaluate/0"]
    assert [one.name for one in again.follow_up.left("fixed")] == ["fixed/evaluate/2"]


def test_what_has_a_score_can_be_asked_before_a_search_is_over(tmp_path: Path) -> None:
    """Nobody knows yet what follows from it, and what is found too early must not be kept."""
    sweep = opened(tmp_path, ["plain"], PLAN, Heard())
    while (job := next_job(sweep)) is not None:
        if job.stage == "search":
            assert sweep.follow_up.scored() == []
        sweep.progress(job, result(job))
    scored = [job.name for job in sweep.follow_up.scored()]
    assert sweep.finished and scored == ["plain/evaluate/0", "plain/evaluate/2"]


@pytest.mark.parametrize(
    ("different", "more"), [(5, ""), (6, "; and 1 other"), (7, "; and 2 others")]
)
def test_of_many_reasons_five_are_told(different: int, more: str, tmp_path: Path) -> None:
    """In the order of the trials, each once."""
    sweep = opened(tmp_path, ["plain"], PLAN, heard := Heard())
    while (job := next_job(sweep)) is not None:
        why = f"reason {min(job.number, different - 1)}"
        sweep.progress(job, Step(0, 0, True, [], [Ending("failed", why, 0, 0)]))
    told = "; ".join(f"reason {number}" for number in range(5))
    assert heard.ends == [("plain", f"no trial finished: {told}{more}")]
