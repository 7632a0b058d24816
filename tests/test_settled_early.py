"""The warning of gates that settled early counts evaluations, whatever the units are."""

from __future__ import annotations

import pytest

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.evidence import settled_early
from tests.recorded_scores import Score, recorded


@pytest.mark.parametrize(("repeats", "splits"), [(3, 1), (1, 3), (3, 2), (1, 1)])
def test_evaluations_are_counted_not_means_of_them(repeats: int, splits: int) -> None:
    """Of five seeds each the first four settle in epoch 1, or, of the last search, never.

    The mean over seeds of 1, 1, 1, 1 and 40 is 8.8, over which the warning was lost.
    """
    scores: list[Score] = []
    for repeat in range(repeats):
        for split in range(splits):
            for seed in range(5):
                never = repeat == 2 and seed < 4
                own = {} if never else {"gate/settled_epoch": 1.0 if seed < 4 else 40.0}
                scores.append(
                    ("comet", repeat, split, 10 * repeat + seed, {"test/loss": 1.0} | own)
                )
    (said,) = settled_early(compare_runs(recorded(scores, hardens=("comet",))))
    every, early = 5 * repeats * splits, 4 * min(repeats, 2) * splits
    what = "seeds" if repeats == splits == 1 else "evaluations"
    assert said.startswith(f"Warning: comet settled before epoch 2 on {early} of {every} {what}: ")
