"""Products of large matrices on CPUs where torch's own library takes half of the CPU's speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

LARGE = 2**23
"""Multiplications from which a call of oneDNN earns what it costs: half of it is Python."""


class Product(torch.autograd.Function):
    """``a @ b.T`` by oneDNN, which has no gradient of its own.

    torch multiplies numbers of single precision by MKL, which uses half of the vector units of an
    AMD core with AVX-512; oneDNN uses all (docs/benchmarks.md).
    """

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        """Return the product ``(n, m)`` of ``(n, k)`` and ``(m, k)``."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep what the gradients need."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients of both, which are such products again."""
        a, b = ctx.saved_tensors
        of_a, of_b = ctx.needs_input_grad
        return (
            matrix_product(gradient, b.T) if of_a else None,
            matrix_product(gradient.T, a.T) if of_b else None,
        )

    @staticmethod
    def jvp(ctx: Any, of_a: Tensor, of_b: Tensor) -> Tensor:
        """Return the change of the product where both change so."""
        a, b = ctx.saved_tensors
        return matrix_product(of_a, b) + matrix_product(a, of_b)

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, int | None], a: Tensor, b: Tensor
    ) -> tuple[Tensor, int]:
        """Return the products of many, one after the other: each has its units busy."""
        many = zip(*(_unbound(info, *of) for of in zip((a, b), dims, strict=True)), strict=True)
        return torch.stack([matrix_product(*pair) for pair in many]), 0


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b.T``, of ``(n, k)`` and ``(m, k)``, by what is faster on this CPU."""
    if has_torch_function((a, b)):  # as functions of torch do, of which a mode is told
        told: Tensor = handle_torch_function(matrix_product, (a, b), a, b)
        return told
    if not suits(a, b):
        return a @ b.T
    result: Tensor = Product.apply(a, b)  # type: ignore[no-untyped-call]
    return result


def suits(a: Tensor, b: Tensor) -> bool:
    """Return whether oneDNN is the faster one for ``a @ b.T``."""
    fits = a.dim() == b.dim() == 2 and a.shape[1] == b.shape[1]
    large = fits and a.numel() * len(b) >= LARGE
    return large and WORTH_IT and all(_is_single_on_cpu(tensor) for tensor in (a, b))


def _is_single_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def _unbound(info: Any, tensor: Tensor, dim: int | None) -> tuple[Tensor, ...]:
    return (tensor,) * info.batch_size if dim is None else tensor.unbind(dim)


def _is_worth_it() -> bool:
    """Return whether this is an AMD CPU with AVX-512, and torch has oneDNN."""
    processors = Path("/proc/cpuinfo")
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and processors.is_file()
        and "AuthenticAMD" in processors.read_text()
    )


WORTH_IT = _is_worth_it()
