"""Sparse maps of rows onto the simplex, with gradients, that run under vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import entmax
import torch
from torch import Tensor
from torch.autograd import Function


def sparsemax(logits: Tensor) -> Tensor:
    """Project logits ``(..., n)`` onto the simplex: the nearest row of weights, many of them 0."""
    return _apply(_Sparsemax, logits)


def entmax15(logits: Tensor) -> Tensor:
    """Map logits ``(..., n)`` to the 1.5-entmax, between softmax and :func:`sparsemax`."""
    return _apply(_Entmax15, logits)


def _apply(function: type[Function], logits: Tensor) -> Tensor:
    return cast(Tensor, function.apply(logits))


class _Rowwise(Function):
    """A map of the last dimension; the library's own functions are of a style vmap refuses."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(output)

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int, ...], logits: Tensor) -> tuple[Tensor, int]:
        """Make the same call on a tensor with one more dimension in front."""
        return _apply(cls, logits.movedim(in_dims[0], 0)), 0


class _Sparsemax(_Rowwise):
    @staticmethod
    def forward(logits: Tensor) -> Tensor:
        return _finite_rows(entmax.sparsemax, logits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Centre the gradient on the support, where the map is linear."""
        (weights,) = ctx.saved_tensors
        return _centred(gradient, (weights > 0).to(weights.dtype))


class _Entmax15(_Rowwise):
    @staticmethod
    def forward(logits: Tensor) -> Tensor:
        return _finite_rows(entmax.entmax15, logits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Do as for sparsemax, with the weights' square roots for the support."""
        (weights,) = ctx.saved_tensors
        return _centred(gradient, _roots(weights))


def _finite_rows(map_rows: Callable[..., Tensor], logits: Tensor) -> Tensor:
    """Map the rows of finite logits; others become NaN.

    The library finds no support in those and raises, which would be the end of all members that
    are called at once.
    """
    finite = logits.isfinite().all(-1, keepdim=True)
    return map_rows(logits.where(finite, 0.0), dim=-1).where(finite, torch.nan)


def _roots(weights: Tensor) -> Tensor:
    """Return square roots; where the gradient is differentiated again, that of 0 is a constant."""
    if not torch.is_grad_enabled():
        return weights.sqrt()
    inside = weights > 0
    return weights.where(inside, 1.0).sqrt().where(inside, 0.0)


def _centred(gradient: Tensor, scale: Tensor) -> Tensor:
    """Return ``(diag(s) - s s^T / sum(s)) gradient`` for every row s of ``scale (..., n)``."""
    inside = gradient * scale
    return inside - scale * (inside.sum(-1, keepdim=True) / scale.sum(-1, keepdim=True))
