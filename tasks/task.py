"""The contract of a task: data, targets and the networks around the mixture."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from torch import Tensor, nn

from gatelab.registry import Registry, near_misses
from gatelab.rules import check_name
from gatelab.tasks.data_sets.data_set import DataSet
from gatelab.tasks.tensors import as_tensors

K = TypeVar("K", bound="type[Task]")
Kind = Literal["regression", "binary", "multiclass"]
SplitName = Literal["train", "val", "test"]
MEAN = "mean"
"""Stands where a target does in the keys of means over targets."""


@dataclass(frozen=True)
class Target:
    """One output of a task."""

    name: str
    kind: Kind
    num_classes: int | None = None
    """For multiclass only."""
    weight: float = 1.0
    """The factor of this target's loss in the task's, above 0."""
    classes: tuple[str, ...] = ()
    """The user's names of a multiclass target's classes, or of 0 and 1, where they are known."""
    scale: float | tuple[float, ...] = field(default=1.0, compare=False)
    """Of a regression target what 1 of the split's values is in the user's unit, above 0; of
    several columns one for all, or one each. It is fitted to the train rows, so that it is no part
    of what the target is."""
    offset: float | tuple[float, ...] = field(default=0.0, compare=False)
    """Of a regression target what 0 of the split's values is in the user's unit; as ``scale``."""
    class_weights: tuple[float, ...] | None = field(default=None, compare=False)
    """By class, of 0 and 1 where it is binary, what a row of it weighs in this target's loss, above
    0. They may be fitted to the train rows, as the unit is. ``None``: all weigh the same."""
    loss: str | None = None
    """The key of a loss in place of the kind's own, a name or ``"package.module:name"``."""
    width: int = 1
    """Of a regression target how many columns it has, which follow one another in the split: one
    gate and one tower are for all."""
    columns: tuple[str, ...] = ()
    """The user's names of these columns, where they are known."""

    def __post_init__(self) -> None:
        """Check what can be trained on, and be recorded.

        Raises:
            ValueError: If the name, the kind, the classes, a weight, the width or the unit cannot
                be.
        """
        check_name("target", self.name)
        if self.name.casefold() == MEAN:
            raise ValueError(f"no target is called {MEAN!r}, as the mean over targets is.")
        kinds, whose = get_args(Kind), f"target {self.name!r}"
        if self.kind not in kinds:
            near = near_misses(str(self.kind), kinds)
            raise ValueError(f"{whose} has the unknown kind {self.kind!r}; {near}")
        classes, weight = self.num_classes, self.weight
        if self.kind != "multiclass" and classes is not None:
            raise ValueError(
                f"{whose}: only multiclass has `num_classes`, but {self.kind} got {classes!r}."
            )
        if self.kind == "multiclass" and not (isinstance(classes, int) and classes >= 2):
            raise ValueError(
                f"{whose}: `num_classes >= 2` must hold for multiclass, a whole number, "
                f"but got (num_classes={classes!r})."
            )
        if not (isinstance(weight, int | float) and 0 < weight < math.inf):
            raise ValueError(f"{whose}: `0 < weight < inf` must hold, but got ({weight=}).")
        named = {"regression": 0, "binary": 2}.get(self.kind, classes)
        if self.classes and len(self.classes) != named:
            raise ValueError(f"{whose} has {named} classes to name, but got {self.classes!r:.200}.")
        self._check_width(whose)
        self._check_unit(whose)
        if self.class_weights is not None:
            self._check_class_weights(whose, self.class_weights, named)

    def _check_width(self, whose: str) -> None:
        width, names = self.width, self.columns
        if isinstance(width, bool) or not (isinstance(width, int) and width >= 1):
            raise ValueError(
                f"{whose}: `width >= 1` must hold, a whole number, but got ({width=})."
            )
        if self.kind != "regression" and (width, names) != (1, ()):
            raise ValueError(
                f"{whose}: only regression has several columns, but {self.kind} got {width}."
            )
        if names and len({*names}) != width:
            raise ValueError(
                f"{whose} has {width} columns to name, each otherwise, but got {names!r:.200}."
            )

    def _check_unit(self, whose: str) -> None:
        scale, offset = self.scale, self.offset
        for name, numbers in (("scale", scale), ("offset", offset)):
            if isinstance(numbers, tuple) and (self.width == 1 or len(numbers) != self.width):
                several = "" if self.width == 1 else f" for all {self.width} columns, or one each"
                raise ValueError(
                    f"{whose}: `{name}` must be one number{several}, but got {numbers!r:.200}."
                )
        positive = all(0 < it < math.inf for it in _each(scale))
        if not (positive and all(map(math.isfinite, _each(offset)))):
            raise ValueError(
                f"{whose}: `0 < scale < inf` and a finite offset must hold, "
                f"but got (scale={scale!r:.200}, offset={offset!r:.200})."
            )
        if self.kind != "regression" and (scale, offset) != (1, 0):
            raise ValueError(
                f"{whose}: only regression has a unit, but {self.kind} got ({scale=}, {offset=})."
            )

    def _check_class_weights(self, whose: str, weights: object, classes: int | None) -> None:
        if self.kind == "regression":
            raise ValueError(f"{whose}: only classes have weights, but regression got {weights!r}.")
        numbers = isinstance(weights, tuple) and all(
            isinstance(weight, int | float) and 0 < weight < math.inf for weight in weights
        )
        if not (isinstance(weights, tuple) and numbers and len(weights) == classes):
            raise ValueError(
                f"{whose}: `class_weights` must be a tuple of {classes} finite numbers above 0, "
                f"but got {weights!r:.200}."
            )

    @property
    def out_features(self) -> int:
        """How many numbers the tower gives: the classes' logits, or one for each column."""
        return self.num_classes or self.width

    def in_unit(self, values: Tensor) -> Tensor:
        """Return outputs or values of the split, any shape, in the user's unit, in float64.

        Those of a target that has no unit of its own are returned as they are. Where each column
        has its own unit, the last dimension is that of columns.
        """
        if (self.scale, self.offset) == (1, 0):
            return values
        values = values.double()
        scale, offset = (
            values.new_tensor(it) if isinstance(it, tuple) else it
            for it in (self.scale, self.offset)
        )
        return values * scale + offset


def _each(numbers: float | tuple[float, ...]) -> tuple[float, ...]:
    return numbers if isinstance(numbers, tuple) else (numbers,)


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
            made[name] = Split(*as_tensors(name, self.split(name), len(self.targets)))
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
