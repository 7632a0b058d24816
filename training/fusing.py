"""Fusing: which parts of a model cannot be, found by calling all one by one and fusing each again.

A part is the members, or a stack of gates, experts or towers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from gatelab.gates.stack import Stack
from gatelab.gates.tensor_hooks import TensorHooks
from gatelab.training.members import Members
from gatelab.training.precision import tensor_cores

Once = Callable[[], list[Tensor]]
"""Makes a pass; returns what came of it."""


class Fused(Protocol):
    """What can be fused."""

    fused: bool


PartT = TypeVar("PartT", bound=Fused)


def fused_stacks(members: Members) -> list[Stack]:
    """Return the stacks of a model that one call may run."""
    return [m for m in members.skeleton.modules() if isinstance(m, Stack) and m.fused]


def parts_that_fail(parts: Sequence[PartT], once: Once) -> list[PartT] | None:
    """Return those with which a pass raises, not fused from then on; None: it does without too."""
    _set(parts, False)
    return _refused(parts, lambda: _passes(once)) if _passes(once) else None


def parts_that_differ(parts: Sequence[PartT], once: Once) -> list[PartT]:
    """Return those that give other numbers than one by one, not fused from then on.

    None where a pass is random, or takes no batch of its size, which is none that there will be.
    """
    with tensor_cores(False):  # what they leave of float32 differs more than two ways may
        try:
            fused = _with_hooks(once)
            _set(parts, False)
            alone = _with_hooks(once)
            if not _near(fused, alone) and _near(alone, _with_hooks(once)):
                return _refused(parts, lambda: _near(_with_hooks(once), alone))
        except Exception:  # whatever a stranger's module raises
            pass
    _set(parts, True)
    return []


def _refused(parts: Sequence[PartT], works: Callable[[], bool]) -> list[PartT]:
    """Fuse each again with which a pass works; return the others."""
    for part in parts:
        part.fused = True
        part.fused = works()
    return [part for part in parts if not part.fused]


def _set(parts: Sequence[Fused], fused: bool) -> None:
    for part in parts:
        part.fused = fused


def _passes(once: Once) -> bool:
    try:
        once()
    except Exception:  # whatever a stranger's module raises
        return False
    return True


def _with_hooks(once: Once) -> list[Tensor]:
    """Return what comes of a pass, and how many hooks: one may do nothing to these numbers yet."""
    with TensorHooks() as hooks:
        return [*once(), torch.tensor(hooks.count)]


def _near(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Return whether results are equal within what the order of additions changes."""
    return all(
        torch.allclose(a.double(), b.double(), rtol=0, atol=_tolerance(b), equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )


def _tolerance(values: Tensor) -> float:
    if not values.is_floating_point() or not values.numel():
        return 0.0
    largest = float(values.nan_to_num(0.0, 0.0, 0.0).abs().max())
    return math.sqrt(torch.finfo(values.dtype).eps) / 4 * max(largest, 1e-3)
