"""Accounting: what privacy rounds of a subsampled Gaussian mechanism have spent.

The only file that imports dp-accounting, and only when something is asked of it.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

MISSING = (
    "epsilon is told by dp-accounting, which is not installed: pip install 'gatelab[privacy]', or "
    "leave `noise` at 0"
)
ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 384, 512, 1024)
"""Renyi orders that are looked at where a sample is drawn: the whole ones, of which the bound is a
sum. Others are a series, which does not converge for all; without a sample all are in closed form.
"""
FINEST, STEPS = 1e-4, 1e5
"""Losses are rounded up to multiples of the first, or of this share of the epsilon of RDP: coarser
where that is large, so that it takes no longer. It is a bound as it was, the less tight."""


def can_account() -> bool:
    """Return whether dp-accounting is installed."""
    return find_spec("dp_accounting") is not None


@cache
def rdp_epsilon(noise: float, sampled: float, rounds: int, delta: float) -> float:
    """Return epsilon of Renyi differential privacy (Mironov, Talwar and Zhang, 2019).

    Rounds are Gaussian mechanisms, each on a Poisson sample: every one of those protected is in it
    with a chance of its own. Neighbours differ by one that is added or removed.

    Args:
        noise: Standard deviation over the most that one of them adds; above 0.
        sampled: The chance, in (0, 1].
        rounds: How many; without any nothing is spent.
        delta: In (0, 1).

    Raises:
        ImportError: If dp-accounting is not installed, in a line that names the extra.
    """
    from dp_accounting.rdp import RdpAccountant

    orders = ORDERS if sampled < 1 else None  # by default the package's own, fractions too
    return _epsilon(RdpAccountant(orders), noise, sampled, rounds, delta)


@cache
def pld_epsilon(noise: float, sampled: float, rounds: int, delta: float) -> float:
    """Return epsilon of the composed privacy loss distribution, rounded up: seldom more than RDP's.

    Args:
        noise: As of :func:`rdp_epsilon`, like the others.
        sampled: The chance.
        rounds: How many.
        delta: In (0, 1).

    Raises:
        ImportError: If dp-accounting is not installed, in a line that names the extra.
    """
    rough = rdp_epsilon(noise, sampled, rounds, delta)
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=max(FINEST, rough / STEPS))
    return _epsilon(accountant, noise, sampled, rounds, delta)


def _epsilon(accountant: Any, noise: float, sampled: float, rounds: int, delta: float) -> float:
    import dp_accounting

    if rounds == 0:
        return 0.0
    mechanism = dp_accounting.GaussianDpEvent(noise)
    event = mechanism if sampled == 1 else dp_accounting.PoissonSampledDpEvent(sampled, mechanism)
    return float(accountant.compose(event, rounds).get_epsilon(delta))
