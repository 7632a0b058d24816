"""What became of a gate's search and evaluation, counted from its runs by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatelab.results.comparison.budgets import WAITING, Budget, budget
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Tags


def run(stage: str, end: str = "finished", why: str = "", **tags: str) -> RunRecord:
    tags = {"stage": stage, "gate": "a", "end": end, "end.reason": why, **tags}
    return RunRecord("id", "name", "", {}, {}, tags)


def gate(
    counts: tuple[int, ...] = (), epochs: int = 0, why: str = "", end: str = "finished", **tags: str
) -> RunRecord:
    """Return a gate's run, with how many trials finished, were pruned and failed."""
    keys = ("search/finished", "search/pruned", "search/failed")[: len(counts)]
    metrics = dict(zip(keys, map(float, counts), strict=True))
    metrics |= {"search/epochs": float(epochs)} if epochs else {}
    found = run("gate", end, why, **tags)
    return RunRecord("id", "name", "", {}, metrics, found.tags)


def failures(**counts: Any) -> dict[str, str]:
    return {Tags.FAILURES: json.dumps(counts)}


def of(*runs: RunRecord, searches: tuple[str, ...] = ("1",)) -> Budget:
    """Return the budget of gate `a` in a record of so many sweeps, each of so many searches."""
    tags = {"stage": "sweep"}
    sweeps = [RunRecord("s", "s", "", {"search.repeats": n}, {}, tags) for n in searches]
    return budget(SweepRecord("s", (*sweeps, *runs)), "a", "title")


TRIALS = [
    run("search", "finished", "reached max_epochs (8)", **{"end.epoch": "8"}),
    run("search", "pruned", "lost at epoch 2", **{"end.epoch": "2"}),
    run("search", "failed", "loss is nan", **{"end.epoch": "1"}),
    run("search", "failed", "loss is nan", **{"end.epoch": "3"}),
]


def test_what_gates_runs_count_is_added_up() -> None:
    """Of two sweeps that are pooled; trials that are read too are no more trials."""
    first = gate((3, 1, 1), 40, **failures(nan=1))
    second = gate((2, 0, 3), 20, **failures(nan=2, killed=1))
    found = of(first, second, *TRIALS)
    assert (found.finished, found.pruned, found.failed, found.trials) == (5, 1, 4, 10)
    assert (found.reasons, found.epochs) == ({"nan": 3, "killed": 1}, 60)


@pytest.mark.parametrize("second", [gate(), gate((2,)), gate((2, 0))])
def test_where_a_run_does_not_count_all_trials_are_counted(second: RunRecord) -> None:
    """A pruned trial has a reason that is none of a failure."""
    found = of(gate((3, 1, 1), 40), second, *TRIALS)
    assert (found.finished, found.pruned, found.failed) == (1, 1, 2)
    assert (found.reasons, found.epochs) == ({"loss is nan": 2}, 14)


def test_epochs_that_are_not_all_known_are_not_told() -> None:
    assert of(gate((1, 0, 0)), TRIALS[0], run("search", "pruned")).epochs is None
    assert of(gate((1, 0, 0))).epochs is None, "nor are those of no trial 0"
    assert of(TRIALS[0], run("search", "")).epochs == 8, "of those that have ended"


def test_reasons_that_were_cut_off_are_none() -> None:
    for text in ('{"nan": 1, "kil', "[1]"):
        assert of(gate((0, 0, 2), **{Tags.FAILURES: text})).reasons == {}


def test_why_there_is_no_score_or_why_seeds_have_none() -> None:
    seeds = [run("evaluate"), run("evaluate", "failed", "rows are gone"), run("evaluate", "")]
    ended = gate(why="no trial finished")
    found = of(ended, *seeds)
    assert (found.evaluated, found.lost, found.note) == (1, 1, "rows are gone"), "not the gate's"
    assert of(ended, seeds[1]).note == "no trial finished"
    assert of(gate(), seeds[1]).note == "rows are gone"
    assert of(gate(), seeds[0]).note == ""
    assert of(gate()).note == WAITING


@pytest.mark.parametrize(
    ("searches", "ended", "evaluated", "fruitless"),
    [
        (("3",), [gate()], "1", 2),
        (("3",), [gate()], "11", 2),
        (("3",), [gate()], "012", 0),
        (("2", ""), [gate()], "0", 2),  # a sweep that does not say it has one
        (("1",), [gate()], "01", 0),  # as of a sweep of before
        (("3",), [gate()], "", 0),  # which the note says
        (("3",), [gate(end="")], "1", 0),  # others may follow
        (("3",), [gate(), gate(end="")], "1", 0),
        (("3",), [gate(row_of="b")], "1", 0),
        (("3",), [], "1", 0),
    ],
)
def test_searches_after_which_nothing_was_evaluated(
    searches: tuple[str, ...], ended: list[RunRecord], evaluated: str, fruitless: int
) -> None:
    runs = [run("evaluate", repeat=repeat) for repeat in evaluated]
    found = of(*ended, *runs, searches=searches)
    assert (found.searches, found.fruitless) == (sum(int(n or 1) for n in searches), fruitless)


def test_what_was_evaluated_without_a_trial_was_not_searched() -> None:
    trial, seed, lost = TRIALS[0], run("evaluate"), run("evaluate", "failed")
    assert [of(*runs).searched for runs in ([], [trial], [trial, seed])] == [True] * 3
    assert [of(*runs).searched for runs in ([seed], [lost], [seed, lost])] == [False] * 3
