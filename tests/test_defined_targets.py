"""Of how many targets a mean over targets is, in the titles of tables."""

from __future__ import annotations

import pytest

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.score_grids import defined_on
from tests.recorded_scores import Score, recorded

ALL = 29


def _said(defined: dict[tuple[int, int], int], metric: str = "test/mean/auroc") -> str:
    """Return what is said of two gates, of which so many targets are defined by repeat and split.

    As training has it, an evaluation in which all are defined says no number.
    """
    scores: list[Score] = []
    for gate in "ab":
        for (repeat, split), count in defined.items():
            own = {"defined/test/auroc": float(count), "targets/test/auroc": float(ALL)}
            more = own if count < ALL else {}
            scores.append((gate, repeat, split, 10 * repeat, {"test/loss": 1, metric: 0.8} | more))
    return defined_on(compare_runs(recorded(scores)), metric)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([29, 20, 27], " (20 to 29 of 29 targets)"),
        ([20, 27], " (20 to 27 of 29 targets)"),
        ([27, 27], " (27 of 29 targets)"),
        ([0, 29], " (0 to 29 of 29 targets)"),
        ([29, 29], ""),
    ],
)
def test_from_the_fewest_to_the_most(counts: list[int], said: str) -> None:
    assert _said({(0, split): count for split, count in enumerate(counts)}) == said
    assert _said({(repeat, 0): count for repeat, count in enumerate(counts)}) == said


def test_within_a_unit_too() -> None:
    """Two repeats, each on two splits: a mean over them of 20 and 28 once was 24."""
    assert _said({(r, s): 20 + 8 * s for r in range(2) for s in range(2)}) == (
        " (20 to 28 of 29 targets)"
    )


def test_a_metric_of_one_target_says_nothing() -> None:
    assert _said({(0, 0): 20, (0, 1): 27}, "test/auroc") == ""
