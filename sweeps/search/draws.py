"""Draws: which configurations a search tries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import create_trial
from scipy.stats import qmc

from gatelab.sweeps.spec.searches import mixed
from gatelab.sweeps.spec.values import value_at

DIMENSIONS = 64
"""Of the sequence, whatever is drawn: gates that draw more share the draws of what they share."""


@dataclass(frozen=True)
class Draws:
    """Draws one gate's configurations, of which nothing is remembered between two rounds.

    The first is the gate's default, then come those that a spec names. The rest of the first round
    is quasi-random; later rounds follow Optuna's TPE, which learns from the rounds before (Bergstra
    et al., NeurIPS 2011).
    """

    distributions: Mapping[str, BaseDistribution]
    """Of what is drawn, by dotted name."""
    defaults: Mapping[str, Any]
    """Values of these in the first configuration; of others they are drawn there too."""
    sampler: str
    """``tpe``, or ``random``: independent draws in place of both."""
    seed: int
    known: Sequence[Mapping[str, Any]] = ()
    """Values of some of these in the configurations after the first; of others they are drawn."""

    def draw(
        self, first: int, count: int, past: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the values of so many trials.

        Args:
            first: The number of the first of them.
            count: How many.
            past: The values of those before that gave a rank, the best first.
        """
        numbers = range(first, first + count)
        if self.sampler == "random":
            found = [self._ask(optuna.create_study(), RandomSampler, n) for n in numbers]
        elif first == 0 or not past:
            found = self._quasi_random(numbers)
        else:
            found = self._tpe(numbers, past)
        if first == 0:
            for values, own in zip(found, (self.defaults, *self.known), strict=False):
                values |= own
        return found

    def _ask(
        self, study: optuna.Study, sampler: Callable[..., BaseSampler], number: int, **options: Any
    ) -> dict[str, Any]:
        study.sampler = sampler(seed=mixed(self.seed, number), **options)
        return study.ask(dict(self.distributions)).params

    def _quasi_random(self, numbers: range) -> list[dict[str, Any]]:
        """Return points of Sobol's sequence, scrambled by the seed."""
        dimensions = max(DIMENSIONS, len(self.distributions))
        sequence = qmc.Sobol(dimensions, rng=np.random.default_rng(self.seed))
        points = sequence.random_base2(math.ceil(math.log2(numbers.stop)))
        drawn = self.distributions.items()
        return [
            {name: value_at(d, u) for (name, d), u in zip(drawn, points[number], strict=False)}
            for number in numbers
        ]

    def _tpe(self, numbers: range, past: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what TPE asks for, which sees only the order of what was tried.

        Trials of one round are asked for together: each counts as a bad one for those after it,
        so that they do not crowd where the best was (``constant_liar``).
        """
        study = optuna.create_study()
        distributions = dict(self.distributions)
        for place, values in enumerate(past):
            trial = create_trial(params=dict(values), distributions=distributions, value=place)
            study.add_trial(trial)
        options: dict[str, Any] = {"n_startup_trials": 1, "constant_liar": True}
        return [self._ask(study, TPESampler, number, **options) for number in numbers]
