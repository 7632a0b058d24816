"""What is checked: a task's class with its options, its data, and its networks."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from gatelab.tasks.check.made import check_made
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.columns import by_target, num_columns
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task
from gatelab.tasks.tensors import as_tensors

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
BATCH = 8
READS_FEATURES, READS_EXPERT = "gate_input", "gate_input of an expert"
"""The module of what gates read, by what it reads itself."""
Data = dict[SplitName, Split]
Modules = dict[str, nn.Module]
"""Those that are shared, and a tower for every target, by name."""


@dataclass(frozen=True)
class Subject:
    """A task's class and the options to check it with."""

    cls: type[Task]
    options: Mapping[str, Any]

    def make(self, **changes: Any) -> Task:
        """Make a task of its own for a check."""
        options = copy.deepcopy({**self.options, **changes})
        task: Task = cast(Any, self.cls)(**options)
        return task

    def data(self, *, order: Sequence[SplitName] = SPLITS, world: int = 0, **changes: Any) -> Data:
        """Make splits of a task of their own.

        Args:
            order: In which the task is asked for them.
            world: The seed of the global random states.
            changes: To the options.
        """
        with seeded(world):
            task = self.make(**changes)
        return splits_of(task, order=order, world=world)

    @cached_property
    def splits(self) -> Data:
        """The data, read once for all checks that change nothing."""
        return self.data()

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The task's targets, some of which depend on its options."""
        return self.make().targets

    def inputs(self, rows: int = BATCH) -> Tensor:
        """Return a copy of so many rows to train on, again from the first if there are fewer."""
        inputs = self.splits["train"].inputs
        return inputs[torch.arange(rows) % len(inputs)]

    def modules(self, seed: int = 0, world: int | None = None) -> Modules:
        """Make the networks from torch's seed; numpy's and Python's is ``world``, or the same.

        Raises:
            CheckFailed: If not all their numbers are there, or some are of another type.
        """
        with seeded(seed if world is None else world):
            torch.default_generator.manual_seed(seed)
            modules = made_of(self.make().network(), self.targets)
        check_made(modules)
        return modules


def made_of(network: Network, targets: Sequence[Target]) -> Modules:
    """Call every factory once, that of towers for each target, in the order of :func:`walk`.

    Raises:
        TypeError: If one gives no module.
    """
    late = network.gate_reads_experts
    made = {
        "bottom": network.bottom(),
        **({} if late else {READS_FEATURES: network.gate_input()}),
        **{
            f"expert {at + 1}" if at else "expert": make()
            for at, make in enumerate(network.kinds_of_experts)
        },
        **({READS_EXPERT: network.gate_input()} if late else {}),
        **{f"tower of {target.name!r}": network.tower(target) for target in targets},
    }
    for name, module in made.items():
        if not isinstance(module, nn.Module):
            raise TypeError(f"the {name} must be a torch.nn.Module, but is {module!r:.100}")
        module.train()  # as training begins, where one may freeze a part of itself
    return made


def gate_input_of(modules: Modules) -> str:
    """Return the name of the module whose outputs the gates read."""
    return READS_EXPERT if READS_EXPERT in modules else READS_FEATURES


def is_expert(name: str) -> bool:
    """Return whether a module is an expert, by its name."""
    return name.split()[0] == "expert"


def is_tower(name: str) -> bool:
    """Return whether a module is a target's own, by its name."""
    return name.split()[0] == "tower"


def known(split: Split, targets: Sequence[Target]) -> list[tuple[Target, Tensor, Tensor]]:
    """Return every target with the rows where it is known, and its values there.

    Values are ``(known rows,)``, or ``(known rows, width)`` of a target of several columns.
    None of a split whose shapes do not fit: that is the finding of one check, and of no other.
    """
    values, mask = split.targets, split.mask
    shape = (len(values), len(targets))
    fits = mask is None or mask.shape == shape
    if not fits or values.shape != (len(values), num_columns(targets)):
        return []
    where = torch.ones(shape, dtype=torch.bool) if mask is None else mask.bool()
    rows = [column.nonzero().flatten() for column in where.unbind(1)]
    parts = by_target(targets, values)
    return [(t, r, part[r]) for t, r, part in zip(targets, rows, parts, strict=True)]


def splits_of(task: Task, *, order: Sequence[SplitName] = SPLITS, world: int = 0) -> Data:
    """Ask a task for splits, each with the global random states set first."""
    data: Data = {}
    for name in order:
        with seeded(world):
            data[name] = Split(*as_tensors(name, task.split(name), task.targets))
    return data


def walk(
    modules: Modules, inputs: Tensor, *, copies: bool = True
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield the name, the input and the output of every module, from raw inputs on.

    Args:
        modules: What :meth:`Subject.modules` makes.
        inputs: ``(batch, ...)``
        copies: Whether each module reads a copy of its own, so that it can spoil no other's.
    """

    def call(name: str, x: Tensor) -> Tensor:
        output: Tensor = modules[name](x.clone() if copies else x)
        return output

    features = call("bottom", inputs)
    yield "bottom", inputs, features
    if READS_FEATURES in modules:
        yield READS_FEATURES, features, call(READS_FEATURES, features)
    found = []
    for name in filter(is_expert, modules):
        found.append(call(name, features))
        yield name, features, found[-1]
    if READS_EXPERT in modules:
        yield READS_EXPERT, found[0], call(READS_EXPERT, found[0])
    mixed = found[0] if len(found) == 1 else torch.stack(found).mean(0)
    for name in filter(is_tower, modules):
        yield name, mixed, call(name, mixed)


def outputs(modules: Modules, inputs: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Return what every module gives, by its name; dropout and the like follow from the seed."""
    with seeded(seed):
        return {name: output for name, _, output in walk(modules, inputs)}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return what a function or class is called with."""
    return list(inspect.signature(function).parameters.values())


def alike(first: Tensor, second: Tensor) -> bool:
    """Return whether two results are equal within rounding."""
    return first.shape == second.shape and torch.allclose(
        first.double(), second.double(), rtol=1e-4, atol=1e-4, equal_nan=True
    )


def equal(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors are equal to the last byte, NaN included."""
    same = (first.shape, first.dtype) == (second.shape, second.dtype)
    return same and torch.equal(as_bytes(first), as_bytes(second))


def identical(first: Split, second: Split) -> bool:
    """Return whether two splits are equal to the last byte."""
    for one, other in zip(first, second, strict=True):
        if one is None or other is None:
            if one is not other:
                return False
        elif not equal(one, other):
            return False
    return True


def as_bytes(tensor: Tensor) -> Tensor:
    """Return the bytes of each row, ``(rows, bytes)``."""
    rows = tensor.detach().cpu().contiguous().view(len(tensor), math.prod(tensor.shape[1:]))
    return rows.view(torch.uint8)
