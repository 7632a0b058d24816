"""What a step comes to: the calls of torch's operations, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import getitem
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from gatelab.foreign import told

ATEN = torch.ops.aten
TAKERS = (
    *(Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__),
    *(Tensor.data_ptr, Tensor.storage, Tensor.untyped_storage, torch._VF._pad_packed_sequence),
)
"""What takes numbers out of a tensor by no operation of torch's."""
SPLITTERS = (torch.tensor_split, Tensor.tensor_split)
"""What does so where it is told by a tensor into which parts."""


class Recording(TorchDispatchMode):
    """Writes down what is called meanwhile, below gradients and ``torch.vmap``.

    It changes nothing of what is done, whether that can be written down or not.
    """

    def __init__(self) -> None:
        """Begin with no call."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.failure = ""
        """Why a repetition of the calls would not be a repetition of what is done, if so."""
        self._graph, self._given = Graph(), nn.Module()
        self._nodes = WeakTensorKeyDictionary()
        self._versions: list[tuple[Tensor, int]] = []
        self._reads = _Reads(self)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, for more than a second, only to switch it off."""
        return False

    def __enter__(self) -> Recording:
        """Begin."""
        super().__enter__()  # type: ignore[no-untyped-call]
        self._reads.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """End."""
        self._reads.__exit__(*error)  # type: ignore[no-untyped-call]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call, and write it down."""
        kwargs = kwargs or {}
        if func is ATEN.lift_fresh.default:  # a number of Python's, which later calls may change
            func = ATEN.clone.default
        given: Any = None
        with self._noting():
            given = map_aggregate((args, kwargs), self._as_node)
        result = func(*args, **kwargs)
        with self._noting():
            if _depends_on_numbers(func, args):
                self.failure = self.failure or f"`{func}` takes numbers out of a tensor"
            if not self.failure:
                self._write(func, given, result)
        return result

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what is raised meanwhile, of which the step is to know nothing."""
        try:
            yield
        except Exception as error:  # whatever torch says of a stranger's tensors and arguments
            self.failure = told(error)

    def _as_node(self, argument: Any) -> Any:
        """Return what a tensor is in the graph, where one that no call has made is given."""
        if not isinstance(argument, Tensor):
            return argument
        node: Node | None = self._nodes.get(argument)
        if node is None:
            name = f"given_{len(self._versions)}"
            self._versions.append((argument, argument._version))
            self._given.register_buffer(name, argument)
            self._nodes[argument] = node = self._graph.get_attr(name)
        return node

    def _write(self, func: Any, given: Any, result: Any) -> None:
        node = self._graph.call_function(func, *given)
        if isinstance(result, Tensor):
            self._nodes.setdefault(result, node)
            return
        for place, part in enumerate(result if isinstance(result, (tuple, list)) else ()):
            if isinstance(part, Tensor):
                self._nodes.setdefault(part, self._graph.call_function(getitem, (node, place)))

    def written(self) -> list[Tensor]:
        """Return the tensors from outside which the calls have changed."""
        return [tensor for tensor, version in self._versions if tensor._version != version]

    def repeated(self) -> Callable[[], None]:
        """Return what repeats the calls, on the tensors as they are then."""
        self._graph.output(None)
        code, given = self._graph.python_code("self"), self._given
        scope = dict(code.globals)
        exec(code.src, scope)  # as torch.fx does, which keeps every text for as long as it runs
        calls = scope["forward"]

        def repeat() -> None:
            with torch.inference_mode():
                calls(given)

        return repeat


def _depends_on_numbers(func: Any, args: tuple[Any, ...]) -> bool:
    """Return whether a call gives a number, or a shape that follows from numbers, of a tensor."""
    if torch.Tag.data_dependent_output in func.tags:
        return True
    if func is ATEN.index.Tensor:
        kinds = {index.dtype for index in args[1] if index is not None}
        return bool(kinds & {torch.bool, torch.uint8})
    return torch.Tag.dynamic_output_shape in func.tags


class _Reads(TorchFunctionMode):
    """Lets a recording fail where numbers of a tensor are taken by no operation of torch's."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in TAKERS or func in SPLITTERS and _are_tensors(args[1:], kwargs):
            self._recording.failure = f"`{func.__name__}` takes numbers out of a tensor"
        return func(*args, **(kwargs or {}))


def _are_tensors(args: tuple[Any, ...], kwargs: Any) -> bool:
    """Return whether a tensor is among the arguments of a call."""
    return any(isinstance(it, Tensor) for it in (*args, *(kwargs or {}).values()))
