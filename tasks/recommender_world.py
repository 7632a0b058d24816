"""What a generated recommender's rows follow from: clusters of users and items, and signals."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gatelab.tasks.streams import stream

Signals = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

SLOPE = 2.0
"""Of a binary target's log-odds in its signal."""
RATES = (0.2, 0.05, 0.02, None, 0.6, 0.1, None, None)
"""In how many rows each binary target is 1, in expectation: four of engagement, then four of
satisfaction; ``None`` is a regression target."""
GROUPS = (0, 0, 0, 0, 1, 1, 1, 1)
LATENT = 8
"""Numbers that a user, and an item, is made of."""
TAIL = 0.7
"""The n-th most frequent user or item is drawn in proportion to ``n**-TAIL``."""
REFERENCE_PAIRS = 2**16
"""On which signals are standardised, and the rates met."""
RECIPE = (RATES, GROUPS, LATENT, SLOPE, TAIL, REFERENCE_PAIRS)
"""Constants that all rows follow from, beside a task's options."""


class World(NamedTuple):
    """What all rows follow from."""

    user_clusters: Places
    """``(users,)``"""
    item_clusters: Places
    """``(items,)``"""
    users: Signals
    """``(users, LATENT)``"""
    items: Signals
    """``(items, LATENT)``"""
    forms: Signals
    """Of each target's signal: ``(targets, LATENT, LATENT)``."""
    means: Signals
    """``(targets,)``"""
    biases: Signals
    """Of the log-odds of binary targets, ``(targets,)``; 0 for the others."""

    def signals(self, pairs: Places) -> Signals:
        """Return the signals ``(rows, targets)`` of users and items ``(rows, 2)``."""
        users, items = self.users[pairs[:, 0]], self.items[pairs[:, 1]]
        joined = np.einsum("rl,tlm->rtm", users, self.forms, optimize=True)
        found: Signals = np.einsum("rtm,rm->rt", joined, items, optimize=True) - self.means
        return found

    def chances(self, signals: Signals) -> Signals:
        """Return the chance of 1 of binary targets, ``(rows, targets)``."""
        found: Signals = _chances(SLOPE * signals + self.biases)
        return found


@lru_cache(maxsize=4)  # tasks that differ in their rows alone, as by split seeds, have one world
def planted_world(
    seed: int,
    users: int,
    items: int,
    user_clusters: int,
    item_clusters: int,
    spread: float,
    correlation: float,
) -> World:
    """Return what all rows follow from; nobody may write into it. See :class:`.Recommender8`."""
    common = stream("common", seed)
    forms = _forms(common, correlation)
    of_users, user_vectors = _clustered(common, users, user_clusters, spread)
    of_items, item_vectors = _clustered(common, items, item_clusters, spread)
    nothing = np.zeros(len(forms))
    raw = World(of_users, of_items, user_vectors, item_vectors, forms, nothing, nothing)
    columns = [drawn_often(common, REFERENCE_PAIRS, count) for count in (users, items)]
    signals = raw.signals(np.column_stack(columns))
    means, deviations = signals.mean(0), np.maximum(signals.std(0), 1e-12)
    signals = (signals - means) / deviations
    rated = zip(signals.T, RATES, strict=True)
    biases = [0.0 if rate is None else _bias(own, rate) for own, rate in rated]
    scaled = forms / deviations[:, None, None]
    return raw._replace(forms=scaled, means=means / deviations, biases=np.array(biases))


def _forms(common: np.random.Generator, correlation: float) -> Signals:
    """Draw each target's bilinear form, ``(targets, LATENT, LATENT)``."""
    groups = common.standard_normal((2, LATENT, LATENT))
    own = common.standard_normal((len(GROUPS), LATENT, LATENT))
    found: Signals = np.sqrt(correlation) * groups[list(GROUPS)] + np.sqrt(1 - correlation) * own
    return found


def _clustered(
    common: np.random.Generator, count: int, clusters: int, spread: float
) -> tuple[Places, Signals]:
    """Draw the cluster ``(count,)`` and the numbers ``(count, LATENT)`` of users or items."""
    centres = common.standard_normal((clusters, LATENT))
    cluster = common.integers(clusters, size=count)
    own = common.standard_normal((count, LATENT))
    return cluster, np.sqrt(1 - spread) * centres[cluster] + np.sqrt(spread) * own


def drawn_often(own: np.random.Generator, rows: int, count: int) -> Places:
    """Draw users or items, ``(rows,)``, the first ones most often."""
    chances = np.cumsum(np.arange(1, count + 1) ** -TAIL)
    found = np.searchsorted(chances, own.random(rows) * chances[-1], side="right")
    places: Places = np.minimum(found, count - 1)
    return places


def _bias(signals: Signals, rate: float) -> float:
    """Return the constant in the log-odds by which the mean chance is a rate."""
    from scipy.optimize import brentq  # here: who finds rows in the cache does not need it

    return float(brentq(lambda bias: _chances(SLOPE * signals + bias).mean() - rate, -40, 40))


def _chances(log_odds: Signals) -> Signals:
    found: Signals = 1 / (1 + np.exp(-log_odds))
    return found
