"""The contract of a task: data and the networks around the mixture."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from torch import Tensor, nn

from gatelab.registry import Registry
from gatelab.rules import shown
from gatelab.tasks.data_sets.data_set import DataSet
from gatelab.tasks.target import Target
from gatelab.tasks.tensors import as_tensors

K = TypeVar("K", bound="type[Task]")
SplitName = Literal["train", "val", "test"]


class Split(NamedTuple):
    """One part of the data, in memory, row by row."""

    inputs: Tensor
    """``(rows, ...)``, any dtype; integers and bytes stay so until the bottom reads them."""
    targets: Tensor
    """``(rows, targets)``: values, 0/1, or class indices; a target of several columns has as many
    here, ``(rows, columns)``."""
    mask: Tensor | None = None
    """``(rows, targets)``, true where a target is known; ``None``: known everywhere."""
    weights: Tensor | None = None
    """``(rows,)``, 0 or more: what a row weighs in losses and metrics, for all targets. Weights of
    0 count nowhere, as if nothing were known of the row. ``None``: all rows count alike."""

    def part(self, which: slice) -> Split:
        """Return some of the rows."""
        mask, weights = (None if of_rows is None else of_rows[which] for of_rows in self[2:])
        return Split(self.inputs[which], self.targets[which], mask, weights)


@dataclass(frozen=True)
class Regimes:
    """Regions of the input in which targets are made from other teacher experts."""

    directions: tuple[tuple[float, ...], ...]
    """Of the gates' input: bit i of a row's regime says on which side of direction i it lies."""
    experts: tuple[tuple[frozenset[int], ...], ...]
    """By regime, ``2**len(directions)`` of them, the teacher experts of each target."""


@dataclass(frozen=True)
class Truth:
    """The planted structure of a synthetic task."""

    groups: tuple[int, ...]
    """The group of each target."""
    experts: tuple[frozenset[int], ...] = ()
    """The teacher experts that each target is made from, in any regime; none: they are not known,
    as where targets are known to belong together, but no one has made them from experts."""
    regimes: Regimes | None = None
    """Which of them where, if that depends on the row."""


@dataclass(frozen=True)
class Network:
    """The networks around the mixture; each factory makes a freshly initialised module."""

    bottom: Callable[[], nn.Module]
    """Raw inputs ``(batch, ...)`` to the features ``(batch, ...)`` that every expert reads."""
    gate_input: Callable[[], nn.Module]
    """Those features to what the gates read, ``(batch, gate_features)``; or, where
    ``gate_reads_experts``, an expert's output."""
    gate_features: int
    expert: Callable[[], nn.Module]
    """Features to ``(batch, expert_features)``."""
    tower: Callable[[Target], nn.Module]
    """A mixture ``(batch, expert_features)`` to ``(batch, target.out_features)``."""
    other_experts: tuple[Callable[[], nn.Module], ...] = ()
    """Factories of experts of other kinds, beside those of ``expert``: features to as many
    ``expert_features``. One that stands here twice makes twice as many."""
    gate_reads_experts: bool = False
    """Whether gates read the experts' outputs instead of the features: ``gate_input`` then turns
    an expert's ``(batch, expert_features)`` into ``(batch, gate_features)``, and gates read those
    of all experts side by side. All experts are computed then, whatever is selected."""

    def __post_init__(self) -> None:
        """Check that every factory is one.

        Raises:
            ValueError: If a module stands where what makes modules is due, or nothing callable.
        """
        experts = {f"other_experts[{at}]": it for at, it in enumerate(self.other_experts)}
        parts = {name: getattr(self, name) for name in ("bottom", "gate_input", "expert", "tower")}
        for name, factory in {**parts, **experts}.items():
            if isinstance(factory, nn.Module) or not callable(factory):
                raise ValueError(
                    f"a network's `{name}` must be a function or class that makes modules, each a "
                    f"new one, as `lambda: nn.Linear(4, 8)`, but got {shown(factory)}."
                )

    def gate_width(self, num_experts: int) -> int:
        """Return how many numbers the gates read in a model of so many experts."""
        return self.gate_features * (num_experts if self.gate_reads_experts else 1)

    def experts(self, num_experts: int) -> list[tuple[Callable[[], nn.Module], int]]:
        """Return each kind of expert and how many are of it, equal numbers as far as may be.

        The kinds follow one another: of 5 experts of two kinds, 0 to 2 are of the first.
        """
        places = (self.expert, *self.other_experts)
        each, more = divmod(num_experts, len(places))
        counts = dict.fromkeys(places, 0)
        for place, factory in enumerate(places):
            counts[factory] += each + (place < more)
        return [(factory, count) for factory, count in counts.items() if count]

    @property
    def kinds_of_experts(self) -> tuple[Callable[[], nn.Module], ...]:
        """The factories of experts, each once."""
        return tuple(dict.fromkeys((self.expert, *self.other_experts)))


class Task:
    """A multi-task problem.

    A subclass takes its options and a ``seed`` as keyword arguments, raises ``ValueError`` for
    those it cannot work with, and makes each split when asked for it: a search that never asks for
    the test split never has it in memory. The same options and seed give the same data anywhere.
    One that can be divided anew takes ``split_seed: int = 0`` too, which moves rows between splits,
    while ``seed`` fixes what the task is.
    """

    source: ClassVar[str] = ""
    """Where the data are from, in a sentence."""
    licence: ClassVar[str] = ""
    """Under which the data may be used."""
    expected_failed_checks: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Why the task must fail a check of ``gatelab.tasks.check``, by the check's name."""
    data_sets: ClassVar[tuple[DataSet, ...]] = ()
    """Those whose files it reads; what it makes of them does not depend on where they lie."""
    draws_anew: ClassVar[bool] = False
    """Whether another split seed draws new rows from the same source instead of dividing the same
    ones again."""
    fixed_split: bool = False
    """Whether the options alone say which rows are in which split, whatever the split seed."""
    targets: tuple[Target, ...]
    truth: Truth | None = None
    said: tuple[str, ...] = ()
    """What was found in the data that a user may want to know, a line each."""

    @classmethod
    def places(cls, **options: Any) -> tuple[Path, ...]:
        """Return where the files that it reads with these options are looked for, in this order."""
        return ()

    def warnings(self) -> tuple[str, ...]:
        """Return what makes scores on this data doubtful, a line each; asked before a launch."""
        return ()

    def split(self, name: SplitName) -> Split:
        """Make one part of the data; who needs it asks :meth:`data`, which keeps it."""
        raise NotImplementedError

    def data(self, name: SplitName) -> Split:
        """Return one part of the data, made when it is first asked for, as tensors.

        Raises:
            ValueError: If it holds what no tensor can be made of.
        """
        made: dict[SplitName, Split] = self.__dict__.setdefault("_made", {})
        if name not in made:
            made[name] = Split(*as_tensors(name, self.split(name), self.targets))
        return made[name]

    def made_bytes(self) -> int:
        """Return how many bytes of tensors the parts of the data hold that have been made."""
        made: dict[SplitName, Split] = self.__dict__.get("_made", {})
        parts = (part for split in made.values() for part in split if part is not None)
        return sum(part.nbytes for part in parts)

    def forget(self, name: SplitName) -> None:
        """Keep a part of the data no longer, which is made anew when it is asked for again."""
        self.__dict__.get("_made", {}).pop(name, None)

    def test_to_train(self) -> float:
        """Return the test rows for each train row, of those that split seeds divide.

        By this ratio scores of several split seeds are less independent than they look; 0 where
        each draws new rows. Source: Nadeau and Bengio, Inference for the Generalization Error,
        Machine Learning 2003, section 3.
        """
        if self.draws_anew:
            return 0.0
        return len(self.data("test").inputs) / len(self.data("train").inputs)

    def network(self) -> Network:
        """Return the factories; a subclass's keyword arguments are the model's hyperparameters."""
        raise NotImplementedError


def split_seeds(task: Task) -> bool:
    """Return whether a task takes a ``split_seed`` that divides it anew."""
    return not task.fixed_split and "split_seed" in inspect.signature(type(task)).parameters


tasks: Registry[Task] = Registry("task")


def register_task(name: str) -> Callable[[K], K]:
    """Return a class decorator that enters a :class:`Task` under ``name``."""
    return tasks.register(name, Task)
