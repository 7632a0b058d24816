"""The contract of a task: data, targets and the networks around the mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, TypeVar

from torch import Tensor, nn

from gatelab.registry import Registry

K = TypeVar("K", bound="type[Task]")
Kind = Literal["regression", "binary", "multiclass"]
SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Target:
    """One output of a task."""

    name: str
    kind: Kind
    num_classes: int | None = None
    """For multiclass only."""
    weight: float = 1.0
    """The factor of this target's loss in the task's, above 0."""

    @property
    def out_features(self) -> int:
        """How many numbers the tower gives: the classes' logits, or one."""
        return self.num_classes or 1


class Split(NamedTuple):
    """One part of the data, in memory, row by row."""

    inputs: Tensor
    """``(rows, ...)``, any dtype; integers and bytes stay so until the bottom reads them."""
    targets: Tensor
    """``(rows, targets)``: values, 0/1, or class indices."""
    mask: Tensor | None = None
    """``(rows, targets)``, true where a target is known; ``None``: known everywhere."""


@dataclass(frozen=True)
class Truth:
    """The planted structure of a synthetic task."""

    groups: tuple[int, ...]
    """The group of each target."""
    experts: tuple[frozenset[int], ...]
    """The teacher experts that each target is made from."""


@dataclass(frozen=True)
class Network:
    """The networks around the mixture; each factory makes a freshly initialised module."""

    bottom: Callable[[], nn.Module]
    """Raw inputs ``(batch, ...)`` to the features ``(batch, ...)`` that every expert reads."""
    gate_input: Callable[[], nn.Module]
    """Those features to what the gates read, ``(batch, gate_features)``."""
    gate_features: int
    expert: Callable[[], nn.Module]
    """Features to ``(batch, expert_features)``."""
    tower: Callable[[Target], nn.Module]
    """A mixture ``(batch, expert_features)`` to ``(batch, target.out_features)``."""


class Task:
    """A multi-task problem.

    A subclass takes its options and a ``seed`` as keyword arguments, raises ``ValueError`` for
    those it cannot work with, and makes each split when asked for it: a search that never asks for
    the test split never has it in memory. The same options and seed give the same data anywhere.
    """

    expected_failed_checks: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Why the task must fail a check of ``gatelab.tasks.check``, by the check's name."""
    targets: tuple[Target, ...]
    truth: Truth | None = None

    def split(self, name: SplitName) -> Split:
        """Make one part of the data; who needs it asks :meth:`data`, which keeps it."""
        raise NotImplementedError

    def data(self, name: SplitName) -> Split:
        """Return one part of the data, made when it is first asked for."""
        made: dict[SplitName, Split] = self.__dict__.setdefault("_made", {})
        if name not in made:
            made[name] = self.split(name)
        return made[name]

    def network(self) -> Network:
        """Return the factories; a subclass's keyword arguments are the model's hyperparameters."""
        raise NotImplementedError


tasks: Registry[Task] = Registry("task")


def register_task(name: str) -> Callable[[K], K]:
    """Return a class decorator that enters a :class:`Task` under ``name``."""
    return tasks.register(name, Task)
