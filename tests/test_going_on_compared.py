"""What a comparison says of a sweep that goes on, and beside whom it refuses it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.gone_on import check_apart, gone_on
from gatelab.results.comparison.verdict import leading, sentences
from gatelab.results.report.conditions_grid import conditions_grid
from gatelab.tracking.runs import SweepRecord
from tests.recorded_losses import LOSSES, record


def named(name: str, *before: str, seed: int = 0) -> SweepRecord:
    """Return a sweep that goes on from others."""
    found = record(LOSSES, name)
    sweep = found.runs[0]
    tags = {**sweep.tags, "goes_on_from": ",".join(before)} if before else sweep.tags
    sweep = replace(sweep, tags=tags, params={"search.seed": str(seed)})
    return replace(found, runs=(sweep, *found.runs[1:]))


def test_the_answer_is_followed_by_what_was_known_before() -> None:
    comparison = compare_runs(named("s-3", "s", "s-2"))
    said = sentences(comparison)
    assert said[len(leading(comparison))] == (
        "s-3 goes on from s and s-2, whose results were known when more was asked for: whoever "
        "goes on until a difference is significant finds one sooner or later, so its intervals and "
        "p-values are too sure."
    )
    assert "from s, whose result was known" in "".join(gone_on(compare_runs(named("s-2", "s"))))
    assert gone_on(compare_runs(named("s"))) == []


def test_the_report_says_from_which_sweeps_it_goes_on() -> None:
    for before, row in (((), []), (("s", "s-2"), [["goes on from", "s, s-2"]])):
        found = named("s-3", *before)
        rows = conditions_grid(found, compare_runs(found)).rows
        assert [list(one) for one in rows if one[0] == "goes on from"] == row


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([named("s"), named("s-2", "s")], "compare s-2 alone: it goes on from s, "),
        ([named("s-2", "s"), named("s")], "compare s-2 alone: it goes on from s, "),
        ([named("s"), named("s-3", "s", "s-2")], "compare s-3 alone: it goes on from s, "),
        ([named("s-2", "s"), named("t", "s")], "one of s-2 and t alone: both go on from s, "),
        ([named("a"), named("s"), named("s-2", "s")], "compare s-2 alone: it goes on from s, "),
    ],
)
def test_sweeps_with_trials_in_common_are_refused(records: list[SweepRecord], why: str) -> None:
    with pytest.raises(ValueError, match="so they have trials in common, which count once") as told:
        check_apart(records)
    assert why in str(told.value)


def test_others_stand_side_by_side() -> None:
    check_apart([named("s"), named("t"), named("t-2", "u")])
    check_apart([named("s"), named("s")])  # of two stores, neither goes on
    check_apart([named("s", seed=1), named("s-2", "s", seed=2)])  # another s, in another store
