"""Lookups in embedding tables of members that are called together, where ``torch.vmap`` errs.

It makes no sparse gradient. And of a gradient with a ``padding_idx`` it leaves out the padding of
the first member alone: all others would learn a row that is to stay as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PADS = "padding"
"""What is noted of a lookup that has some."""


class _Marked(torch.autograd.Function):
    """What was looked up, as it is; backward, the marks get how often each row was."""

    generate_vmap_rule = True

    @staticmethod
    def forward(found: Tensor, marks: Tensor, ids: Tensor) -> Tensor:
        return found.view_as(found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, marks, ids = inputs
        ctx.save_for_backward(ids)
        ctx.rows = len(marks)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        ids = ctx.saved_tensors[0].flatten()
        once = gradient.new_ones(ids.shape)
        return gradient, gradient.new_zeros(ctx.rows).index_add(0, ids, once), None


class Lookups(TorchFunctionMode):
    """Gives lookups dense gradients, padding none, and lets those in known tables leave marks."""

    def __init__(
        self, tables: Mapping[str, Tensor], marks: Mapping[str, Tensor], noted: set[str]
    ) -> None:
        """Take what :func:`lookups` does."""
        super().__init__()
        self._marks = {id(tables[name]): mark for name, mark in marks.items()}
        self._noted = noted

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        of_torch = func is not functional.embedding
        return (func if of_torch else self.embedding)(*args, **(kwargs or {}))

    def embedding(
        self,
        input: Tensor,  # its name in torch
        weight: Tensor,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Tensor:
        """Look up, as torch's function of this name does."""
        found = functional.embedding(
            input, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse=False
        )
        if padding_idx is not None:
            self._noted.add(PADS)
            padded = (input == padding_idx % len(weight)).unsqueeze(-1)
            found = torch.where(padded, found.detach(), found)
        if id(weight) not in self._marks:
            return found
        marks = self._marks[id(weight)]
        marked: Tensor = _Marked.apply(found, marks, input)  # type: ignore[no-untyped-call]
        return marked


@contextmanager
def lookups(
    tables: Mapping[str, Tensor], marks: Mapping[str, Tensor], noted: set[str] | None = None
) -> Iterator[None]:
    """Look up as one member alone would meanwhile, and let lookups in its tables leave marks.

    Args:
        tables: ``(rows, features)`` by name; the model must be called with these very tensors.
        marks: ``(rows,)`` by the same names, as of :class:`~.fused_tables.FusedTables`.
        noted: ``PADS`` is added where a lookup has any; ``None``: there is none.
    """
    if not marks and noted is None:
        yield
        return
    with Lookups(tables, marks, set() if noted is None else noted):
        yield
