"""Layers of one unit on a CPU, where torch's library multiplies a matrix by a vector slowly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function


class DotProducts(torch.autograd.Function):
    """``x @ weight.T`` of a weight with one row, by what is fast where many are computed at once.

    Many products of a matrix and a vector take up to twenty times what as many of a vector and a
    matrix do, which come to the same numbers (docs/benchmarks.md).
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        """Return ``(..., n, 1)`` of ``(..., n, k)`` and ``(..., 1, k)``."""
        return (weight @ x.mT).mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep what the gradients need."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients of both."""
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.needs_input_grad
        return gradient * weight if of_x else None, gradient.mT @ x if of_weight else None

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor, of_weight: Tensor) -> Tensor:
        """Return the change of the result where both change so."""
        x, weight = ctx.saved_tensors
        return dot_products(of_x, weight) + dot_products(x, of_weight)

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, int | None], x: Tensor, weight: Tensor
    ) -> tuple[Tensor, int]:
        """Return those of many, whose dimension comes first."""
        many = (_first(info, *of) for of in zip((x, weight), dims, strict=True))
        return dot_products(*many), 0


def dot_products(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``x @ weight.T``, ``(..., n, 1)``, of ``(..., n, k)`` and ``(..., 1, k)``."""
    if has_torch_function((x, weight)):  # as functions of torch do, of which a mode is told
        told: Tensor = handle_torch_function(dot_products, (x, weight), x, weight)
        return told
    result: Tensor = DotProducts.apply(x, weight)  # type: ignore[no-untyped-call]
    return result


def _first(info: Any, tensor: Tensor, dim: int | None) -> Tensor:
    if dim is None:
        return tensor.expand(info.batch_size, *tensor.shape)
    return tensor.movedim(dim, 0)
