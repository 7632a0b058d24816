"""What is taken for a split: tensors, and arrays as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatelab.tasks.columns import by_target, num_columns
from gatelab.tasks.target import Target


class NoTensors(ValueError):
    """What a task made is nothing to train on."""


def as_tensors(
    name: str, made: object, targets: Sequence[Target]
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return the inputs, targets, mask and weights that a task made as training reads them.

    Arrays become tensors, inputs of any floating type torch's default one (float32), which the
    networks have too, as weights of any type do, and a mask of 0 and 1 one of false and true. What
    has no weight is not known, nor what a masked array of targets masks.

    Args:
        name: Of the split.
        made: What the task made.
        targets: The task's, which a mask is of.

    Raises:
        NoTensors: If these are not all, or one of them is neither tensor nor array.
    """
    if not (isinstance(made, tuple) and len(made) in (2, 3, 4)):
        raise NoTensors(f"{name} must be a Split, but is a {type(made).__name__}.")
    mask, weights = (*made[2:], None, None)[:2]
    inputs = dense_tensor(f"{name} inputs", made[0])
    if inputs.is_floating_point():
        inputs = inputs.to(torch.get_default_dtype())
    given, unmasked = unmask(targets, made[1])
    values = dense_tensor(f"{name} targets", given)
    mask = None if mask is None else _mask(name, mask)
    if unmasked is not None:
        mask = unmasked if mask is None else mask & unmasked
    if weights is None:
        return inputs, values, mask, None
    weights = dense_tensor(f"{name} weights", weights).to(torch.get_default_dtype())
    return inputs, values, _with_weight(mask, weights, (*inputs.shape[:1], len(targets))), weights


def unmask(targets: Sequence[Target], values: object) -> tuple[object, Tensor | None]:
    """Return values of targets without NumPy's mask, and which of them are known.

    Args:
        targets: A task's; one of several columns is known where all of these are.
        values: ``(rows, columns)``.

    Returns:
        The values, 0 where they were masked, and a mask ``(rows, targets)``; ``None``: nothing was.
    """
    if not _is_masked(values):
        return values, None
    known = ~torch.from_numpy(np.ma.getmaskarray(values))
    if known.shape[1:] == (num_columns(targets),):
        known = torch.stack([it.reshape(len(it), -1).all(1) for it in by_target(targets, known)], 1)
    return values.filled(0), known


def _is_masked(value: object) -> TypeGuard[np.ma.MaskedArray[Any, Any]]:
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def _with_weight(mask: Tensor | None, weights: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Return a mask without the rows of weight 0; as it is where shapes do not fit."""
    known = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    counts = weights > 0
    fits = weights.shape == shape[:1] and known.shape == shape
    return known & counts[:, None] if fits and not counts.all() else mask


def _mask(name: str, value: object) -> Tensor:
    mask = dense_tensor(f"{name} mask", value)
    other = mask[(mask != 0) & (mask != 1)]
    if len(other):
        raise NoTensors(
            f"{name} mask must hold true and false, or 1 and 0, but holds {other[0].item():g}."
        )
    return mask == 1


def dense_tensor(what: str, value: object) -> Tensor:
    """Return an array or tensor of numbers as a dense tensor on the CPU.

    Raises:
        NoTensors: If it is none; ``what`` it is for is said.
    """
    if _is_masked(value):
        count = int(np.ma.getmaskarray(value).sum())
        raise NoTensors(
            f"{what} must be numbers throughout, but {count:,} of {value.size:,} are masked; only "
            "targets may be unknown: fill them, as by `filled(0)`."
        )
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(_native(value))
    if isinstance(value, Tensor) and not _layout(value) and not value.is_complex():
        return value.detach().cpu()
    raise NoTensors(f"{what} must be one dense tensor or array of numbers, but is {_given(value)}.")


def _layout(tensor: Tensor) -> str:
    """Return what a tensor is that is not dense, and what to do about it; empty: it is."""
    if tensor.is_nested:
        return "nested Tensor: pad its rows, and let a column say what is padded"
    if tensor.layout != torch.strided:
        return f"sparse Tensor ({tensor.layout}): give its `to_dense()`"
    return ""


def _given(value: object) -> str:
    if isinstance(value, Tensor) and (layout := _layout(value)):
        return f"a {layout}"
    dtype = getattr(value, "dtype", None)
    return f"a {type(value).__name__}" + (f" of {dtype}" if dtype is not None else "")


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that torch can share: files have other orders of bytes, and wider types."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    dtype = array.dtype.newbyteorder("=")
    if kind == "u" and size > 1:  # which torch can hardly compute with
        dtype = np.dtype(np.int64)
    elif kind == "f" and size > 8:
        dtype = np.dtype(np.float64)
    made = np.ascontiguousarray(array, dtype=dtype)
    return made if made.flags.writeable else made.copy()
