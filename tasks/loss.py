"""The contract of a loss: what is minimised of one target, row by row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import ClassVar, TypeVar, get_args

import torch
from torch import Tensor

from gatelab.foreign import ForeignError, foreign, told
from gatelab.registry import Registry, check_made_without
from gatelab.tasks.metrics import loss
from gatelab.tasks.target import Kind, Target

L = TypeVar("L", bound="type[Loss]")
_ROWS = 3


class Loss:
    """What a target is trained for in place of its kind's own loss.

    It is recorded as ``loss``, as that is: in train, val and test, weighted by rows and classes.
    """

    kinds: ClassVar[Collection[Kind]]
    """The kinds of target that it fits."""

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return every row's loss ``(rows,)``, differentiable; torch's vmap runs it.

        Args:
            outputs: Logits or values, ``(rows, out_features)``.
            target: Class indices, 0/1 or values, ``(rows,)``, of any dtype.
        """
        raise NotImplementedError


losses: Registry[Loss] = Registry("loss", group="losses")


def register_loss(name: str) -> Callable[[L], L]:
    """Return a class decorator that enters a :class:`Loss` under ``name``.

    Raises:
        ValueError: If the name is taken, or the class does not say which kinds it fits.
    """

    def enter(cls: L) -> L:
        kinds, valid = getattr(cls, "kinds", ()), get_args(Kind)
        if isinstance(kinds, str) or not kinds or not set(kinds) <= set(valid):
            raise ValueError(f"loss {name!r}: `kinds` must be some of {valid}, but got {kinds!r}.")
        check_made_without("loss", name, cls)
        return losses.register(name, Loss)(cls)

    return enter


def loss_of(target: Target) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what gives every row's loss ``(rows,)`` of a target, from outputs and values.

    That of a target of several columns is the mean over them, also of a loss of one's own.

    Raises:
        ValueError: If its loss is none that is registered.
    """
    if target.loss is None:
        return partial(loss, target.kind)
    compute = _of_ones_own(target.loss)
    return compute if target.width == 1 else partial(_over_columns, compute)


def _of_ones_own(key: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what gives every row's loss ``(rows,)`` of one column."""
    return partial(_of_copies, losses.get(key)().compute)


def _of_copies(
    compute: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, target: Tensor
) -> Tensor:
    """Return rows' losses of copies: one that writes where it reads would spoil the split."""
    return compute(outputs.clone(), target.clone())


def _over_columns(
    compute: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, target: Tensor
) -> Tensor:
    """Return the mean over columns of a loss that knows one: to it each number is a row."""
    rows = compute(outputs.reshape(-1, 1), target.reshape(-1))
    return rows.view(target.shape).mean(1)


def check_loss_values(target: Target, outputs: Tensor, values: Tensor) -> None:
    """Check that a loss of one's own gives numbers for rows of the task.

    Args:
        target: Whose loss has been found to work.
        outputs: Of its tower, ``(rows, out_features)``.
        values: ``(rows,)``, or ``(rows, width)``.

    Raises:
        ValueError: If a row's is NaN or infinite, or it raises.
    """
    if target.loss is None or not len(values):
        return
    whose = f"target {target.name!r}: loss {target.loss!r}"
    try:
        with foreign():
            bad = (~torch.isfinite(loss_of(target)(outputs, values))).sum().item()
    except ForeignError as error:
        raise ValueError(f"{whose} raises {told(error.__cause__ or error)}.") from error
    if bad:
        raise ValueError(
            f"{whose} gives NaN or inf for {bad} of the first {len(values)} known rows of train, "
            "before anything is learnt."
        )


def check_loss(target: Target) -> None:
    """Check that a loss is there, fits the target's kind, and gives each row its own to learn from.

    Raises:
        ValueError: If not.
    """
    if target.loss is None:
        return
    whose = f"target {target.name!r}: loss {target.loss!r}"
    try:
        kinds = losses.get(target.loss).kinds
    except ValueError as error:
        raise ValueError(f"target {target.name!r}: {error}") from error
    if target.kind not in kinds:
        raise ValueError(f"{whose} is for {' and '.join(kinds)}, but its kind is {target.kind}.")
    outputs, values = _probes(target)
    compute = _of_ones_own(target.loss)
    together = _rows_of(whose, compute, outputs, values)
    if not together.requires_grad:
        raise ValueError(f"{whose} gives numbers without a gradient, from which nothing learns.")
    each = zip(outputs.split(1), values.split(1), strict=True)
    alone = torch.cat([_rows_of(whose, compute, *row) for row in each])
    _check_apart(whose, together.detach(), alone.detach(), outputs.shape[1])


def _probes(target: Target) -> tuple[Tensor, Tensor]:
    """Return outputs and values of a few rows: chances and classes, which most losses take."""
    width = target.num_classes or 1
    outputs = torch.linspace(0.1, 0.9, _ROWS * width).view(_ROWS, width).requires_grad_()
    return outputs, (torch.arange(_ROWS) % max(width, 2)).float()


def _rows_of(
    whose: str, compute: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, values: Tensor
) -> Tensor:
    """Return the loss of every row, if that is what a loss gives."""
    rows = len(values)
    try:
        with foreign():
            found = compute(outputs, values)
    except ForeignError as error:
        of = " for a row alone" if rows == 1 else ""
        raise ValueError(f"{whose} raises {told(error.__cause__ or error)}{of}.") from error
    given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if given != (rows,):
        raise ValueError(f"{whose} must give a loss of each row, ({rows},), but gives {given}.")
    return found


def _check_apart(whose: str, together: Tensor, alone: Tensor, width: int) -> None:
    """Check that a row's loss is the same among others and alone, up to rounding."""
    other = (~torch.isclose(together, alone, rtol=1e-4, atol=1e-6, equal_nan=True)).nonzero()
    if len(other):
        row, meant = int(other[0]), "; is `outputs[:, 0]` meant?" if width == 1 else "."
        raise ValueError(
            f"{whose} of a row depends on other rows ({together[row]:.3g} among {len(together)}, "
            f"{alone[row]:.3g} alone): a loss is of one row{meant}"
        )
