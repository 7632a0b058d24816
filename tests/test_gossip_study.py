"""The scalar linear study of gossip: its predictions by hand, and that steps come to them."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gossip import Agents, course, measured

pytestmark = pytest.mark.usefixtures("float64")


def test_predictions_by_hand() -> None:
    """Slopes are 0.5 and 1.5, offsets -1 and 1: the root is (-0.5 + 1.5) / 2.

    F there is 0.75 and -0.75, of which (1, -1) / sqrt(2) has 1.125 squared; samples add
    (0.25 + 2.25) / 2, and the mean's variance is a half of a half of 2.5, times the price.
    """
    agents = Agents(2, "complete", 0.0)
    assert agents.root == pytest.approx(0.5)
    assert agents.spread == pytest.approx(1.125 + 1.25)
    assert [Agents(2, "complete", r).noise for r in (0.0, 0.5, 0.8, 0.95)] == pytest.approx(
        [0.625 * price for price in (1, 3, 9, 39)]
    )


def test_samples_are_chains_of_the_correlation() -> None:
    steps = torch.stack(list(Agents(4, "ring", 0.5).samples(20, 1000)))
    assert set(steps.unique().tolist()) == {-1.0, 1.0}
    assert float((steps[1:] * steps[:-1]).mean()) == pytest.approx(0.5, abs=0.02)
    assert float((steps[2:] * steps[:-2]).mean()) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_steps_of_the_learner_come_to_what_is_predicted(correlation: float) -> None:
    """Within four standard errors, and a tenth for steps that are not small."""
    agents, alpha = Agents(4, "ring", correlation), 0.02
    *_, last = course(agents, lambda _: alpha, 400, 400)
    predictions = (alpha * agents.noise / 2, alpha**2 * agents.spread)
    for found, predicted in zip(measured(agents, last), predictions, strict=True):
        error = 4 * float(found.std()) / 400**0.5
        assert abs(float(found.mean()) - predicted) < error + predicted / 10
