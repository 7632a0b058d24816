"""One output of a task: what it is called, of which kind it is, and in which unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor

from gatelab.registry import near_misses
from gatelab.rules import check_name, shown

Kind = Literal["regression", "binary", "multiclass"]
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
        if not (self.loss is None or isinstance(self.loss, str)):
            raise ValueError(
                f"{whose}: `loss` must be the key of a registered loss, a text such as "
                f"'mine:pinball', but got {shown(self.loss)}."
            )
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
