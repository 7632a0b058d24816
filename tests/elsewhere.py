"""A device that is another one, for tests: its tensors meet none of a CPU, and are computed there.

Device ``meta`` says whether places are right in operations whose numbers nobody asks for. Here
numbers are right too, so that a whole training can be seen on a second device without a GPU: what
mixes two devices raises, as on a GPU, and what takes numbers from one to another is noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = "meta"
"""What the device calls itself: a name that torch knows, and has no kernels for."""
COPIES = {"copy_", "_to_copy"}
INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"}
SIZED_BY_NUMBERS = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
"""Operations that a GPU is waited for: how large their results are, their inputs' numbers say."""
MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)


class Elsewhere(Tensor):
    """A tensor that says it is elsewhere, with one of a CPU that has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        """Wrap a tensor of a CPU."""
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=ELSEWHERE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute where no mode is: what autograd does in the end of a pass, say."""
        return computed(func, args, kwargs or {}, [])


class Device(TorchDispatchMode):
    """Computes what is elsewhere, and notes what takes numbers from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.crossed: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return computed(func, args, kwargs or {}, self.crossed)


class Asked(TorchFunctionMode):
    """Makes there what is asked for with Python's numbers: no dispatch mode sees that."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in MAKERS and _is_elsewhere(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": "cpu"}).to(ELSEWHERE)
        if func is Tensor.new_tensor and _is_elsewhere(args[0].device):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(ELSEWHERE)
        if func is Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].detach().cpu().tolist()
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _as_tensors(args[1]), *args[2:])
        return func(*args, **kwargs)


@contextmanager
def elsewhere() -> Iterator[Device]:
    """Let there be a second device, by the name of ``ELSEWHERE``."""
    with Device() as device, Asked():
        yield device


def computed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], crossed: list[str]) -> Any:
    """Return what an operation gives, where it belongs; note how it crosses.

    Raises:
        RuntimeError: If it mixes two devices, as only numbers without dimensions may.
    """
    name = func.overloadpacket.__name__
    there = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Elsewhere)]
    if there and name not in COPIES:
        _check_places(name, args, kwargs)
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    goes = _goes_elsewhere(name, args, kwargs, bool(there))
    if there and _crosses(name, args, result) or name in COPIES and goes != bool(there):
        crossed.append(name)
    assert all(t.shape == t.held.shape for t in there), f"{name} changes a shape in place"
    same = {id(tensor.held): tensor for tensor in there}
    return tree_map(lambda found: _wrapped(found, same), result) if goes else result


def _check_places(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise where tensors of both devices meet; an index may come from a CPU."""
    operands = (args[0], *args[2:]) if name in INDEXING else (args, kwargs)
    tensors = [t for t in tree_leaves(operands) if isinstance(t, Tensor)]
    places = {isinstance(t, Elsewhere) for t in tensors if t.dim()}
    index_alone = name in INDEXING and not isinstance(args[0], Elsewhere)
    if len(places) > 1 or index_alone:
        shapes = [(t.device.type, tuple(t.shape)) for t in tensors]
        raise RuntimeError(f"Expected all tensors to be on the same device: {name} of {shapes}")


def _goes_elsewhere(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], there: bool) -> bool:
    """Return where a result belongs."""
    if name == "copy_":
        return isinstance(args[0], Elsewhere)
    asked = kwargs.get("device")
    return there if asked is None else _is_elsewhere(asked)


def _crosses(name: str, args: tuple[Any, ...], result: Any) -> bool:
    """Return whether a host waits for numbers, or they for it."""
    index = tree_leaves(args[1]) if name in INDEXING else []
    tensors = [i for i in index if isinstance(i, Tensor)]
    from_host = any(not isinstance(i, Elsewhere) or i.dtype == torch.bool for i in tensors)
    numbers = any(isinstance(found, (bool, int, float)) for found in tree_leaves(result))
    return from_host or numbers or name in SIZED_BY_NUMBERS


def _is_elsewhere(device: Any) -> bool:
    return device is not None and torch.device(device).type == ELSEWHERE


def _held(value: Any) -> Any:
    if isinstance(value, Elsewhere):
        return value.held
    if isinstance(value, torch.device) and value.type == ELSEWHERE:
        return torch.device("cpu")
    assert not (isinstance(value, Tensor) and value.device.type == ELSEWHERE)
    return value


def _wrapped(found: Any, same: dict[int, Elsewhere]) -> Any:
    if not isinstance(found, Tensor):
        return found
    return same[id(found)] if id(found) in same else Elsewhere(found)


def _as_tensors(index: Any) -> Any:
    """Return an index whose lists are tensors, as torch makes of them."""
    if isinstance(index, tuple):
        return tuple(_as_tensors(each) for each in index)
    return torch.tensor(index) if isinstance(index, (list, range)) else index
