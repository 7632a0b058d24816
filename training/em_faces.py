"""Faces of a polyhedron, of which a gate reads the most violated one, as EM fits them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.training.em import Climb, newton
from gatelab.training.em_experts import NEWTON_STEPS, with_one


@dataclass(frozen=True)
class Faces:
    """Faces of a polyhedron, of which the most violated one decides whether a point is inside.

    With w_k a face's weights, the gate reads the faces themselves, and has no weights of its own::

        P(y | x) = sum_k g_k(x) sigmoid(y w_k x),  g(x) = softmax(-sharpness * (w_1 x, w_2 x, ...))

    for y of -1 and 1, and x with a 1 behind. One face is logistic regression. As the sharpness
    grows this becomes ``sigmoid(y min_k w_k x)``. The penalty is ``ridge |w_k|^2 / 2``, of which
    the offsets are free, as scikit-learn's are with ``C = 1 / ridge``.

    Source: the model of Shah, Sastry and Manwani, PLUME, arXiv 1904.09948.
    """

    inputs: Tensor
    """Points with a 1 behind, ``(rows, features + 1)``."""
    signs: Tensor
    """1 of points inside and -1 of others, ``(rows,)``."""
    weights: Tensor
    """``(features + 1, faces)``, the last row the offsets."""
    sharpness: float
    ridge: float

    @classmethod
    def start(
        cls,
        inputs: Tensor,
        inside: Tensor,
        weights: Tensor,
        *,
        sharpness: float = 1.0,
        ridge: float = 1.0,
    ) -> Self:
        """Return the mixture of given faces.

        Args:
            inputs: Points, ``(rows, features)``, float64 where exactness matters.
            inside: 1 of those inside and 0 of others, ``(rows,)``.
            weights: ``(features + 1, faces)``, the last row the offsets.
            sharpness: Of the gate, at least 0.
            ridge: At least 0; with 0 there may be no top to climb to.

        Raises:
            ValueError: If the sharpness or the ridge is out of its range.
        """
        if not (sharpness >= 0 and ridge >= 0):
            raise ValueError(
                f"`sharpness >= 0` and `ridge >= 0` must hold, but got ({sharpness=}, {ridge=})."
            )
        return cls(with_one(inputs), 2 * inside - 1, weights, sharpness, ridge)

    @property
    def counts(self) -> Tensor:
        """What each row counts, ``(rows,)``: all 1."""
        return torch.ones_like(self.signs)

    def joint(self) -> Tensor:
        """Return log(gate's weight) + log(P(y | x) of a face), ``(rows, faces)``."""
        return self._logs(self.inputs @ self.weights)

    def penalty(self) -> Tensor:
        """Return what the ridge subtracts, ``()``."""
        return self.ridge * self.weights[:-1].square().sum() / 2

    def refit(self, responsibilities: Tensor) -> Self:
        """Return the mixture after an M-step: steps of a logistic regression of all faces."""
        signs, sharpness = self.signs[:, None], self.sharpness

        def climb(scores: Tensor) -> Climb:
            weights, wrong = (-sharpness * scores).softmax(1), (-signs * scores).sigmoid()
            slope = sharpness * (weights - responsibilities) + responsibilities * signs * wrong
            bend = weights.diag_embed() - weights[:, :, None] * weights[:, None, :]
            own = (responsibilities * wrong * (1 - wrong)).diag_embed()
            value = (responsibilities * self._logs(scores)).sum()
            return Climb(value, slope, sharpness**2 * bend + own)

        ridges = self.inputs.new_full((self.inputs.shape[1], 1), self.ridge)
        ridges[-1] = 0
        return replace(self, weights=newton(self.inputs, self.weights, ridges, climb, NEWTON_STEPS))

    def chance(self, inputs: Tensor) -> Tensor:
        """Return the probability that points ``(rows, features)`` are inside, ``(rows,)``."""
        scores = with_one(inputs) @ self.weights
        return ((-self.sharpness * scores).softmax(1) * scores.sigmoid()).sum(1)

    def _logs(self, scores: Tensor) -> Tensor:
        gate = (-self.sharpness * scores).log_softmax(1)
        return gate + F.logsigmoid(self.signs[:, None] * scores)
