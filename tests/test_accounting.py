"""Epsilon by dp-accounting: numbers that are known, and what they must obey."""

from __future__ import annotations

import math

import pytest

from gatelab.training.learners.accounting import pld_epsilon, rdp_epsilon

FEMNIST, CELEBA = (100 / 206, 1000, 1 / 206), (100 / 515, 1000, 1 / 515)
"""The chance of a target, rounds and delta of the settings of arXiv 2108.12978."""
OTHERS = (0.25, 600, 1 / 400)
CASES = [
    (10, FEMNIST, 5.27, None),
    (10, CELEBA, 1.85, 1.60),
    (10, OTHERS, 1.80, 1.54),
    (4, (100 / 205, 1000, 1 / 205), 19.2, 16.9),
    (4, CELEBA, 5.85, 5.18),
    (4, OTHERS, 5.71, 5.03),
    (2, CELEBA, 15.5, 14.0),
    # What it is in truth where updates are weighted by rows: the largest target has 2.23 and 1.37
    # times an equal share.
    (10 / 2.23, FEMNIST, 15.9, None),
    (10 / 1.37, CELEBA, 2.74, None),
    # The usual example.
    (1, (0.01, 10_000, 1e-5), 6.72, None),
    (2, (0.01, 10_000, 1e-5), 2.35, None),
    (4, (0.01, 10_000, 1e-5), 1.035, None),
]


def digits(value: float) -> float:
    """Return half a unit of the last digit that is printed."""
    return 0.5 * 10.0 ** -len(str(value).partition(".")[2])


@pytest.mark.parametrize(("noise", "of", "rdp", "pld"), CASES)
def test_epsilon_is_what_is_known(
    noise: float, of: tuple[float, int, float], rdp: float, pld: float | None
) -> None:
    """Poisson sampling, neighbours that add or remove one, to the digits printed."""
    assert rdp_epsilon(noise, *of) == pytest.approx(rdp, abs=digits(rdp))
    if pld is not None:
        assert pld_epsilon(noise, *of) == pytest.approx(pld, abs=digits(pld))


def test_one_round_of_all_is_the_gaussian_mechanism() -> None:
    """Its delta is Phi(1 / 2z - eps z) - exp(eps) Phi(-1 / 2z - eps z) (Balle and Wang, 2018)."""
    noise, delta = 1.5, 1e-3
    epsilon = pld_epsilon(noise, 1.0, 1, delta)
    places = (1 / (2 * noise) - epsilon * noise, -1 / (2 * noise) - epsilon * noise)
    near, far = (math.erfc(-place / math.sqrt(2)) / 2 for place in places)
    assert near - math.exp(epsilon) * far == pytest.approx(delta, rel=1e-3)
    assert epsilon < rdp_epsilon(noise, 1.0, 1, delta)


def test_nothing_is_spent_without_a_round_and_more_with_each() -> None:
    assert rdp_epsilon(2.0, 0.5, 0, 0.01) == pld_epsilon(2.0, 0.5, 0, 0.01) == 0.0
    for epsilon in (rdp_epsilon, pld_epsilon):
        spent = [epsilon(2.0, 0.5, rounds, 0.01) for rounds in (1, 10, 100)]
        assert spent == sorted(set(spent))
        assert epsilon(2.0, 0.5, 100, 0.01) < epsilon(2.0, 1.0, 100, 0.01)


def test_little_noise_takes_no_longer() -> None:
    """A thousand rounds of all: about a thousand times 1 / 2 z^2, and a bound of its tail."""
    assert 500 < pld_epsilon(1.0, 1.0, 1000, 0.01) < rdp_epsilon(1.0, 1.0, 1000, 0.01) < 700
