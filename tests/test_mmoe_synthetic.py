"""MMoE's synthetic data: the recipe by hand, and correlations that follow the option."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gatelab.tasks import MMoESynthetic


def correlation_of(task: MMoESynthetic, rows: int = 20_000) -> float:
    x = np.random.default_rng(0).normal(size=(rows, task.in_features))
    return float(np.corrcoef(task.noiseless(x).T)[0, 1])


@pytest.mark.parametrize("correlation", [-1.0, -0.3, 0.0, 0.5, 1.0])
def test_the_weights_have_the_cosine_and_the_length(correlation: float) -> None:
    weights, _ = MMoESynthetic(correlation=correlation, scale=3.0)._drawn
    assert np.linalg.norm(weights, axis=1) == pytest.approx(3.0, abs=1e-12)
    assert weights[0] @ weights[1] == pytest.approx(9 * correlation, abs=1e-12)


def test_without_sines_the_targets_correlate_by_exactly_that() -> None:
    assert correlation_of(MMoESynthetic(correlation=0.5, sines=0)) == pytest.approx(0.5, abs=0.02)


def test_with_sines_the_correlation_grows_with_the_option() -> None:
    found = [correlation_of(MMoESynthetic(correlation=p)) for p in (0.0, 0.5, 0.9, 1.0)]
    assert found == sorted(found) and found[0] == pytest.approx(0, abs=0.03)
    assert found[-1] == pytest.approx(1, abs=1e-9)


def test_a_target_by_hand() -> None:
    task = MMoESynthetic(sines=2)
    weights, phases = task._drawn
    x = np.random.default_rng(1).normal(size=(1, 100))
    z = float(weights[1] @ x[0])
    expected = z + math.sin(z + phases[0]) + math.sin(2 * z + phases[1])
    assert task.noiseless(x)[0, 1] == pytest.approx(expected, abs=1e-12)


def test_noise_is_added_to_both() -> None:
    task = MMoESynthetic(noise=0.5)
    inputs, targets, *_ = task.split("train")
    rest = targets.numpy() - task.noiseless(inputs.numpy().astype(float))
    assert rest.std(0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.corrcoef(rest.T)[0, 1] == pytest.approx(0, abs=0.05)


def test_the_published_sizes() -> None:
    network = MMoESynthetic().network()
    assert [tuple(it.shape) for it in network.expert().parameters()] == [(16, 100), (16,)]
    tower = network.tower(MMoESynthetic.targets[0])
    assert [tuple(it.shape) for it in tower.parameters() if it.dim() > 1] == [(8, 16), (1, 8)]


@pytest.mark.parametrize(
    "options",
    [
        {"correlation": 1.1},
        {"in_features": 1},
        {"sines": -1},
        {"scale": 0.0},
        {"noise": -0.1},
        {"train_rows": 0},
        {"split_seed": -1},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        MMoESynthetic(**options)
