"""Linear experts with a gate of their own, as EM fits them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gatelab.training.em import Climb, newton

NEWTON_STEPS = 3
"""In an M-step: what is left is climbed in the next ones."""


@dataclass(frozen=True)
class LinearExperts:
    """Linear maps, each with a variance, weighed by the softmax of other linear maps.

    The likelihood of a row is ``sum_k g_k(x) N(y; B_k x, s_k^2 I)``, and its prediction
    ``sum_k g_k(x) B_k x``. One expert is ridge regression. The penalty of the maps is
    ``ridge |B_k|^2 / (2 s_k^2)``, so that a variance counts it as it counts errors. A row's
    logarithm of the likelihood is multiplied by what it counts.
    """

    inputs: Tensor
    """``(rows, features)``"""
    values: Tensor
    """``(rows, columns)``"""
    read: Tensor
    """What the gate reads of each row, ``(rows, gate features)``."""
    counts: Tensor
    """What each row counts, ``(rows,)``."""
    maps: Tensor
    """``(experts, features, columns)``"""
    variances: Tensor
    """``(experts,)``"""
    gate: Tensor
    """``(gate features, experts)``"""
    ridge: float
    gate_ridge: float

    @classmethod
    def start(
        cls,
        inputs: Tensor,
        values: Tensor,
        responsibilities: Tensor,
        *,
        ridge: float = 1.0,
        gate_ridge: float = 1.0,
        read: Tensor | None = None,
        counts: Tensor | None = None,
    ) -> Self:
        """Return the mixture that fits rows by responsibilities ``(rows, experts)``.

        Args:
            inputs: ``(rows, features)``, float64 where exactness matters.
            values: ``(rows, columns)``
            responsibilities: How far each expert answers for each row at first.
            ridge: Of the maps, above 0: an expert may have fewer rows than features.
            gate_ridge: Of the gate, above 0, of its offsets too.
            read: What the gate reads, ``(rows, gate features)``; by default the inputs with a 1
                behind, so that the last row of its weights are offsets.
            counts: What each row counts, ``(rows,)``; by default all 1.

        Raises:
            ValueError: If a ridge is not above 0, or there are no rows of each.
        """
        if not (ridge > 0 and gate_ridge > 0):
            raise ValueError(
                f"`ridge > 0` and `gate_ridge > 0` must hold, but got ({ridge=}, {gate_ridge=})."
            )
        if not len(inputs) == len(values) == len(responsibilities) > 0:
            raise ValueError(
                "as many rows of inputs, values and responsibilities must there be, and one at "
                f"least, but got ({len(inputs)}, {len(values)}, {len(responsibilities)})."
            )
        experts, features = responsibilities.shape[1], inputs.shape[1]
        maps = inputs.new_zeros(experts, features, values.shape[1])
        read = with_one(inputs) if read is None else read
        counts = inputs.new_ones(len(inputs)) if counts is None else counts
        gate, variances = read.new_zeros(read.shape[1], experts), maps.new_ones(experts)
        empty = cls(inputs, values, read, counts, maps, variances, gate, ridge, gate_ridge)
        return empty.refit(responsibilities)

    def joint(self) -> Tensor:
        """Return log(gate's weight) + log(expert's density), ``(rows, experts)``."""
        columns = self.values.shape[1]
        deviations = self._squares() / self.variances
        density = -0.5 * (deviations + columns * (2 * math.pi * self.variances).log())
        return self._log_weights(self.read) + density

    def penalty(self) -> Tensor:
        """Return what the ridges of maps and gate subtract, ``()``."""
        maps = (self.maps.square().sum((1, 2)) / self.variances).sum()
        return (self.ridge * maps + self.gate_ridge * self.gate.square().sum()) / 2

    def refit(self, responsibilities: Tensor) -> Self:
        """Return the mixture after an M-step: ridges, variances, and steps of the gate."""
        weights = responsibilities * self.counts[:, None]
        maps = torch.stack(
            [ridge_maps(self.inputs, self.values, own, self.ridge) for own in weights.unbind(1)]
        )
        fitted = replace(self, maps=maps)
        spread = (weights * fitted._squares()).sum(0)
        spread += self.ridge * maps.square().sum((1, 2))
        numbers = weights.sum(0).clamp_min(1e-12) * self.values.shape[1]
        least = 1e-6 * self.values.square().mean()  # an expert of few rows fits them wholly
        gate = self._refitted_gate(responsibilities)
        return replace(fitted, variances=(spread / numbers).clamp_min(least), gate=gate)

    def _refitted_gate(self, wanted: Tensor) -> Tensor:
        """Return a gate nearer to responsibilities: a multinomial logistic regression."""
        counts = self.counts[:, None]

        def climb(scores: Tensor) -> Climb:
            logs = scores.log_softmax(1)
            weights = logs.exp()
            bend = weights.diag_embed() - weights[:, :, None] * weights[:, None, :]
            value = (counts * wanted * logs).sum()
            return Climb(value, counts * (wanted - weights), counts[:, :, None] * bend)

        ridges = self.read.new_full((self.read.shape[1], 1), self.gate_ridge)
        return newton(self.read, self.gate, ridges, climb, NEWTON_STEPS)

    def weights(self, inputs: Tensor) -> Tensor:
        """Return the weights ``(rows, experts)`` of a gate that reads inputs with a 1 behind."""
        return self._log_weights(with_one(inputs)).exp()

    def predict(self, inputs: Tensor) -> Tensor:
        """Return the values ``(rows, columns)`` of inputs, whose gate reads them like that."""
        return torch.einsum("rk,rf,kfc->rc", self.weights(inputs), inputs, self.maps)

    def _log_weights(self, read: Tensor) -> Tensor:
        return (read @ self.gate).log_softmax(1)

    def _squares(self) -> Tensor:
        """Return every row's squared distance to each expert's values, ``(rows, experts)``."""
        found = torch.einsum("rf,kfc->krc", self.inputs, self.maps)
        return (self.values - found).square().sum(2).mT


def ridge_maps(inputs: Tensor, values: Tensor, weights: Tensor, ridge: float) -> Tensor:
    """Return the map ``(features, columns)`` of a ridge regression of weighted rows.

    It is NaN where the ridge is too small for the rows, as numbers are rounded.

    Args:
        inputs: ``(rows, features)``
        values: ``(rows, columns)``
        weights: What each row counts, ``(rows,)``.
        ridge: What the squares of the map count, above 0.
    """
    weighted = inputs.mT * weights
    square = weighted @ inputs
    square.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(square)
    return torch.cholesky_solve(weighted @ values, torch.where(failed > 0, torch.nan, factor))


def with_one(inputs: Tensor) -> Tensor:
    """Return inputs ``(rows, features)`` with a 1 behind: what an offset is the weight of."""
    return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)
