"""Clipping: a member's gradients are shortened to a norm, its own, whatever the others' are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from gatelab.training.members import Members

LEAST_NORM = 1e-6
"""Added to a norm before it divides, as torch does."""


@torch.no_grad()
def clip_gradients(members: Members, limits: Tensor) -> None:
    """Scale the gradients of each member whose global norm is above its limit down to it.

    The norm is over all that the member learns, tables with sparse gradients included; as
    ``torch.nn.utils.clip_grad_norm_`` has it for one model.

    Args:
        members: With gradients.
        limits: ``(members, 1)``; infinite where nothing is clipped.
    """
    gradients = [gradient.flatten(1) for gradient in members.gradients()]
    sparse = [_sparse(tables.values()) for tables in members.tables]
    norms = torch.linalg.vector_norm(gradients[0], dim=1, keepdim=True)
    if len(gradients) > 1:
        each = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
        norms = torch.linalg.vector_norm(torch.stack(each, 1), dim=1, keepdim=True)
    if any(sparse):
        pairs = zip(norms, sparse, strict=True)
        norms = torch.stack([_norm([dense, *own]) for dense, own in pairs]).unsqueeze(1)
    # Not clipped is exactly 1, also where a norm is too large for its type.
    factors = torch.where(limits.isinf(), 1.0, (limits / (norms + LEAST_NORM)).clamp(max=1.0))
    for gradient in gradients:
        gradient.mul_(factors)
    for own, factor in zip(sparse, factors, strict=True):
        for values in own:
            values.mul_(factor)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the norm ``()`` of several tensors as one."""
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


def _sparse(tables: Iterable[Tensor]) -> list[Tensor]:
    """Return the values of tables' gradients, each looked-up row once, to be written to."""
    found = []
    for table in tables:
        if table.grad is not None:
            table.grad = table.grad.coalesce()
            found.append(table.grad._values())
    return found
