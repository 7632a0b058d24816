"""Draws: which configurations a search tries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import create_trial
from scipy.stats import qmc

from gatelab.sweeps.spec.conditional import Parents, active, is_active
from gatelab.sweeps.spec.searches import mixed
from gatelab.sweeps.spec.values import nearest, value_at
from gatelab.training.configuration import TARGET_WEIGHTS

DIMENSIONS = 64
"""Of a sequence, whatever is drawn: gates that draw more share the draws of what they share."""
ALIKE = f"training.{TARGET_WEIGHTS}."
"""How names begin of what all gates try alike in every round: it belongs to the task."""


@dataclass(frozen=True)
class Draws:
    """Draws one gate's configurations, of which nothing is remembered between two rounds.

    The first is the gate's default, then come those that a spec names. The rest of the first round
    is quasi-random; later rounds follow Optuna's TPE, which learns from the rounds before (Bergstra
    et al., NeurIPS 2011), but for what targets weigh: that stays quasi-random, and so the same for
    every gate.
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
    parents: Parents = field(default_factory=dict)
    """Of what is drawn only beside certain values of others, which come before it."""
    places: Mapping[str, BaseDistribution] = field(default_factory=dict)
    """What is drawn, in its place among what others draw and this gate fixes; empty: alone."""

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
            found = [self._random(number) for number in numbers]
        elif first == 0 or not past:
            found = self._quasi_random(numbers)
        else:
            found = self._tpe(numbers, past)
        found = [{n: v for n, v in it.items() if n in self.distributions} for it in found]
        if first == 0:
            for values, own in zip(found, (self.defaults, *self.known), strict=False):
                values |= own
        return [active(values, self.parents) for values in found]

    def _random(self, number: int) -> dict[str, Any]:
        """Return independent draws of everything, so that gates share those of what they share."""
        study = optuna.create_study(sampler=RandomSampler(seed=mixed(self.seed, number)))
        places = dict(self.places or self.distributions)
        return {name: nearest(places[name], it) for name, it in study.ask(places).params.items()}

    def _quasi_random(self, numbers: range) -> list[dict[str, Any]]:
        """Return points of Sobol's sequence, scrambled by the seed."""
        places = (self.places or self.distributions).items()
        points = _points(numbers.stop, len(places), self.seed)
        return [
            {name: value_at(d, u) for (name, d), u in zip(places, points[number], strict=False)}
            for number in numbers
        ]

    def _tpe(self, numbers: range, past: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what TPE asks for, which sees only the order of what was tried.

        Trials of one round are asked for together: each counts as a bad one for those after it,
        so that they do not crowd where the best was (``constant_liar``). What is conditional is
        drawn by the trials that had it.
        """
        study = optuna.create_study()
        for place, values in enumerate(past):
            own = {name: self.distributions[name] for name in values}
            study.add_trial(create_trial(params=dict(values), distributions=own, value=place))
        points = self._quasi_random(numbers) if any(map(_is_alike, self.distributions)) else ()
        for point in points:
            study.enqueue_trial({name: it for name, it in point.items() if _is_alike(name)})
        return [self._ask(study, number) for number in numbers]

    def _ask(self, study: optuna.Study, number: int) -> dict[str, Any]:
        study.sampler = TPESampler(
            n_startup_trials=1, constant_liar=True, seed=mixed(self.seed, number)
        )
        trial = study.ask()
        for name, distribution in self.distributions.items():
            if is_active(name, trial.params, self.parents):
                _suggest(trial, name, distribution)
        return {name: nearest(self.distributions[name], it) for name, it in trial.params.items()}


def _points(count: int, dimensions: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return so many points or more, of so many dimensions or more.

    How a sequence is scrambled hangs on its dimensions. So the first 64 are those of one that has
    64, the next the last 64 of one that has 128, and so on, however many are asked for.
    """
    widths = range(DIMENSIONS, max(dimensions, 1) + DIMENSIONS, DIMENSIONS)
    sequences = [qmc.Sobol(width, rng=np.random.default_rng(seed)) for width in widths]
    exponent = math.ceil(math.log2(count))
    return np.hstack([it.random_base2(exponent)[:, -DIMENSIONS:] for it in sequences])


def _is_alike(name: str) -> bool:
    return name.startswith(ALIKE)


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    """Let a trial have a value, as Optuna has it of what is defined on the way."""
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        ends = distribution.low, distribution.high
        trial.suggest_int(name, *ends, step=distribution.step, log=distribution.log)
    elif isinstance(distribution, FloatDistribution):
        bounds = distribution.low, distribution.high
        trial.suggest_float(name, *bounds, step=distribution.step, log=distribution.log)
