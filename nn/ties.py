"""Ties: learnt parameters that modules have in common, which train apart in gatelab."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

MADE_OUTSIDE = "a module made outside the factory"
"""What most likely has modules share what they learn."""
VIEWED = (
    "two views of one tensor: tie layers by one parameter (`two.weight = one.weight`), or compute "
    "the view in forward (`one.weight.T`)"
)
"""What most likely has two parameters lie in the same numbers, and what to do instead."""


def tie(parts: Iterable[tuple[str, nn.Module]], *, may: Collection[str] = ()) -> str:
    """Return which parts share a learnt parameter, in words; empty: none.

    Args:
        parts: Modules by what they are called.
        may: Those of them that may share with each other.
    """
    owners: dict[int, tuple[str, nn.Parameter]] = {}  # held: an id would be used again
    for part, module in parts:
        for name, parameter in module.named_parameters():
            owner, _ = owners.setdefault(id(parameter), (part, parameter))
            if parameter.requires_grad and owner != part and not {owner, part} <= {*may}:
                return f"{owner} and {part} share the parameter {name!r}"
    return ""


def same_numbers(parts: Iterable[tuple[str, nn.Module]]) -> str:
    """Return which learnt parameter lies in the numbers of another tensor, in words; empty: none.

    Torch trains such views of one tensor as one; here each would train as a copy of its own.

    Args:
        parts: Modules by what they are called.
    """
    lying: dict[int, dict[int, tuple[str, Tensor]]] = {}
    for part, module in parts:
        for name, tensor in _dense(module):
            place = tensor.untyped_storage().data_ptr()
            lying.setdefault(place, {}).setdefault(id(tensor), (f"{name!r} of the {part}", tensor))
    for of_one in lying.values():
        if len(of_one) > 1 and any(tensor.requires_grad for _, tensor in of_one.values()):
            if found := _overlapping([*of_one.values()]):
                return found
    return ""


def _dense(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and buffers that lie in memory, by name."""
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        strided = not is_lazy(tensor) and tensor.layout == torch.strided
        if strided and not tensor.is_meta and tensor.numel():
            yield name, tensor


def _overlapping(tensors: list[tuple[str, Tensor]]) -> str:
    """Return which of the tensors of one storage overlap, of which one is learnt."""
    owner = np.zeros(tensors[0][1].untyped_storage().nbytes(), np.int32)  # of each byte
    tensors.sort(key=lambda it: not it[1].requires_grad)  # frozen ones may overlap each other
    for number, (name, tensor) in enumerate(tensors, 1):
        own = _bytes_of(tensor, owner)
        if own.any():
            return f"{tensors[own.max() - 1][0]} and {name} lie in the same numbers"
        if tensor.requires_grad:
            own[...] = number
    return ""


def _bytes_of(tensor: Tensor, storage: np.ndarray) -> np.ndarray:
    """Return a view of what is said of each byte of a storage, of those of a tensor."""
    width = tensor.element_size()
    strides = [width * stride * storage.itemsize for stride in tensor.stride()]
    start = storage[tensor.storage_offset() * width :]
    shape = (*tensor.shape, width)
    return np.lib.stride_tricks.as_strided(start, shape, (*strides, storage.itemsize))


def check_untied(parts: Iterable[tuple[str, nn.Module]], *, may: Collection[str] = ()) -> None:
    """Check that no parts share what they learn: each is to train with tensors of its own.

    Nor may a parameter lie in the numbers of another tensor of them, as a view of it.

    Args:
        parts: As :func:`tie` takes them.
        may: Likewise.

    Raises:
        ValueError: If two do.
    """
    parts = [*parts]
    if found := tie(parts, may=may):
        raise ValueError(
            f"Modules that train apart must have parameters of their own, but {found}, of which "
            "each would train a copy: make new layers in every call, or freeze what is shared "
            "(`requires_grad_(False)`)."
        )
    if found := same_numbers(parts):
        raise ValueError(
            f"Every parameter must have numbers of its own, but {found}; likely cause: {VIEWED}."
        )
