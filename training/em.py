"""What maximises a likelihood by EM has in common: responsibilities, steps, starts.

A mixture says, of every row and expert, the logarithm of the gate's weight times the expert's
likelihood. An E-step turns these into responsibilities, an M-step fits every expert and the gate
to the rows by them, and the likelihood never falls. Source: Dempster, Laird and Rubin, Maximum
Likelihood from Incomplete Data via the EM Algorithm, 1977; for experts and gates Jordan and Jacobs,
Hierarchical Mixtures of Experts and the EM Algorithm, 1994.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

HALVINGS = 30
"""How often a step is halved before its start is taken for the top."""
ROUNDING = 1e-14
"""Of a height, what near the top is no fall: there a step still nears where the slope is 0."""
LLOYDS = 25
"""Steps of k-means, from which a start need not be the best."""


class Likelihood(Protocol):
    """A mixture with its data: what an E-step reads, and what an M-step makes."""

    @property
    def counts(self) -> Tensor:
        """What each row counts in the likelihood, ``(rows,)``."""

    def joint(self) -> Tensor:
        """Return log(gate's weight) + log(expert's likelihood), ``(rows, experts)``."""

    def penalty(self) -> Tensor:
        """Return what is subtracted from the log-likelihood, ``()``."""

    def refit(self, responsibilities: Tensor) -> Self:
        """Return the mixture whose experts and gate fit the rows as far as they answer for them.

        Args:
            responsibilities: ``(rows, experts)``, each row of sum 1.
        """


Mixed = TypeVar("Mixed", bound=Likelihood)


class Climb(NamedTuple):
    """What a function of scores is, and how it bends: what Newton's method needs."""

    value: Tensor
    """``()``"""
    slope: Tensor
    """Of every row's scores, ``(rows, experts)``."""
    curvature: Tensor
    """Minus the second derivatives, ``(rows, experts, experts)``."""


def responsibilities(joint: Tensor, temperature: float = 1.0) -> Tensor:
    """Return how far each expert answers for each row, ``(rows, experts)``, each row of sum 1.

    Args:
        joint: What :meth:`Likelihood.joint` returns.
        temperature: Above 0; 1 is the posterior, and more is softer.
    """
    return (joint / temperature).softmax(1)


def log_likelihood(mixture: Likelihood) -> float:
    """Return the logarithm of the rows' likelihood less the penalty: what EM never lowers."""
    return float((mixture.counts * mixture.joint().logsumexp(1)).sum() - mixture.penalty())


def maximise(
    mixture: Mixed, iterations: int, tempering: Sequence[float] = (), tolerance: float = 0.0
) -> tuple[Mixed, list[float]]:
    """Return a mixture after steps of EM, and its log-likelihood at the start and after each.

    Args:
        mixture: Where it starts.
        iterations: The most steps at temperature 1, which never lower the likelihood.
        tempering: The temperatures of steps before those, which may lower it, and are not told.
        tolerance: A step that gains less than this, at temperature 1, is the last.
    """
    for temperature in tempering:
        mixture = mixture.refit(responsibilities(mixture.joint(), temperature))
    told = [log_likelihood(mixture)]
    for _ in range(iterations):
        mixture = mixture.refit(responsibilities(mixture.joint()))
        told.append(log_likelihood(mixture))
        if told[-1] - told[-2] < tolerance:
            break
    return mixture, told


def likeliest(mixtures: Iterable[Mixed]) -> Mixed:
    """Return the mixture of the highest penalised likelihood: EM sticks where it starts."""
    return max(mixtures, key=log_likelihood)


def cooling(hottest: float, steps: int) -> list[float]:
    """Return temperatures that fall from ``hottest``, by one factor a step, towards 1."""
    return [hottest ** (1 - step / steps) for step in range(steps)]


def newton(
    inputs: Tensor, weights: Tensor, ridges: Tensor, climb: Callable[[Tensor], Climb], steps: int
) -> Tensor:
    """Return weights that raise a concave function of linear scores, less a ridge.

    A step that would lower it is halved, so that what is returned is never lower.

    Args:
        inputs: ``(rows, features)``
        weights: Where it starts, ``(features, experts)``.
        ridges: Half of it times a weight's square is subtracted, ``(features, 1)``.
        climb: Takes scores ``(rows, experts)``.
        steps: The most of them.
    """

    def height(at: Tensor) -> Tensor:
        return climb(inputs @ at).value - (ridges * at.square()).sum() / 2

    best = height(weights)
    for _ in range(steps):
        step, length = _step(inputs, weights, ridges, climb(inputs @ weights)), 1.0
        for _ in range(HALVINGS):
            moved = weights + length * step
            if (found := height(moved)) >= best - ROUNDING * best.abs():
                break
            length /= 2
        else:
            break
        weights, best = moved, found
    return weights


def _step(inputs: Tensor, weights: Tensor, ridges: Tensor, at: Climb) -> Tensor:
    """Return Newton's step ``(features, experts)``."""
    slope = inputs.mT @ at.slope - ridges * weights
    features, experts = weights.shape
    # One pair of experts after another: all at once would hold each input once a pair.
    pairs = [(inputs.mT * own) @ inputs for own in at.curvature.flatten(1).unbind(1)]
    blocks = torch.stack(pairs).unflatten(0, (experts, experts))
    bend = blocks.permute(2, 0, 3, 1).reshape(features * experts, -1)
    bend.diagonal().add_(ridges.expand_as(weights).flatten())
    bend.diagonal().add_(1e-12 * bend.diagonal().mean())  # directions that change nothing
    step, failed = torch.linalg.solve_ex(bend, slope.flatten())
    return torch.where(failed > 0, torch.nan, step).view_as(weights)


def random_start(rows: int, experts: int, drawn: torch.Generator) -> Tensor:
    """Return responsibilities ``(rows, experts)`` of random numbers, of which none is near 1."""
    return (3 * torch.rand(rows, experts, generator=drawn, dtype=torch.float64)).softmax(1)


def kmeans_start(points: Tensor, experts: int, drawn: torch.Generator) -> Tensor:
    """Return responsibilities ``(rows, experts)`` of 0 and 1: a cluster of the points an expert.

    Source: Lloyd, Least squares quantization in PCM, 1982, from random points as centres.

    Args:
        points: ``(rows, features)``, float64.
        experts: As many clusters; some are empty where there are fewer points.
        drawn: For the first centres.
    """
    first = torch.randperm(len(points), generator=drawn)
    centres = points[first[torch.arange(experts) % len(points)]]
    for _ in range(LLOYDS):
        nearest = F.one_hot(torch.cdist(points, centres).argmin(1), experts).to(points)
        counts = nearest.sum(0)[:, None]
        centres = torch.where(counts > 0, nearest.mT @ points / counts.clamp_min(1), centres)
    return nearest
