"""Checks of what a gate costs on a GPU: nothing in its steps waits for the host."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gatelab.conformance import fail
from gatelab.gates.check.subject import KEEPS, Subject, random_in_training, rows
from gatelab.gates.gate import Routing
from gatelab.gates.randomness import CPU, Randomness, drawing_from, generator_state


class Crossings(TorchDispatchMode):
    """Notes every operation that takes numbers from one device to another, or to Python."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, for more than a second, only to switch it off."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call, and note."""
        name = str(func).split(".")[1]
        if name == "_local_scalar_dense":
            self.found.append("item")
        result = func(*args, **(kwargs or {}))
        devices = {t.device.type for t in tree_leaves((args, result)) if isinstance(t, Tensor)}
        if name in {"_to_copy", "copy_"} and len(devices) > 1:
            self.found.append("to")
        return result


class Makings(TorchFunctionMode):
    """Notes what is made of Python's numbers on another device, which no dispatch mode sees."""

    def __init__(self, found: list[str]) -> None:
        """Take the list to note in."""
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call, and note."""
        result = func(*args, **(kwargs or {}))
        makes = func in (torch.tensor, torch.as_tensor, Tensor.new_tensor)
        lists = func is Tensor.__getitem__ and _has_list(args[1])
        if (makes or lists) and result.device.type != "cpu":
            self.found.append("indexing by a list" if lists else func.__name__)
        return result


def _has_list(index: Any) -> bool:
    return any(isinstance(i, list) for i in (index if isinstance(index, tuple) else (index,)))


def check_a_step_copies_nothing_from_the_host(subject: Subject) -> None:
    """A pass, its gradient and the update wait for no copy: tried on meta tensors."""
    gate, x = subject.make(), rows().to("meta")
    updates = gate.updates  # may look at its numbers
    gate.to("meta")
    with Crossings() as seen, Makings(seen.found):
        try:
            routing: Routing = gate(x)
            if updates:
                gate.update(routing, torch.zeros((), device="meta"))
            if routing.weights.requires_grad:
                (routing.weights.sum() + routing.aux_loss).backward()
        except (NotImplementedError, RuntimeError):
            pass  # what meta tensors do not know, or another check finds
    if seen.found:
        cause = "numbers that change belong in a buffer; a GPU waits for each copy"
        if "item" in seen.found:
            cause = "an `if` on a tensor, or `.item()` of one: a GPU waits, and stacks cannot"
        copies = ", ".join(dict.fromkeys(seen.found))
        fail(f"each step copies from or to the host: {copies}", cause)


class Unkeyed(TorchFunctionMode):
    """Notes what draws from torch's generator, within draws from a key."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call, and note."""
        before = generator_state(CPU)
        result = func(*args, **(kwargs or {}))
        if not torch.equal(generator_state(CPU), before):
            self.found.append(getattr(func, "__name__", str(func)))
        return result


def check_draws_follow_from_keys(subject: Subject) -> None:
    """What is random follows from the key that a training gives, and from nothing else."""
    gate = subject.make()
    if not random_in_training(gate):
        return
    weights = []
    for seed in (0, 1):
        with drawing_from(seed), Randomness(torch.tensor(3)), Unkeyed() as seen:
            weights.append(gate(rows()).weights)
    if seen.found:
        cause = "a function that draws from torch's generator alone; use rand_like, randn_like"
        fail(f"`{seen.found[0]}` does not draw from the member's key", cause)
    if not torch.equal(*(each.nan_to_num() for each in weights)):
        fail("a pass differs from one before it, from the same key", KEEPS)


CHECKS = (check_a_step_copies_nothing_from_the_host, check_draws_follow_from_keys)
"""In the order in which a mistake is best mended."""
