"""A table made ready: divided, fitted to its train rows, and given out as splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.division import (
    SPLIT_NUMBERS,
    check_division,
    divide,
)
from gatelab.tasks.tables.fitted import (
    LEAST_SPREAD_OF_A_TARGET,
    Fitted,
    Numbers,
    Scale,
    check_fits,
    fit_features,
    fit_scale,
    numbers_of,
)
from gatelab.tasks.tables.split_rule import SplitRule
from gatelab.tasks.tables.splitting import Assignment
from gatelab.tasks.tables.target_columns import TargetColumn, by_vector
from gatelab.tasks.tables.told_division import told_division
from gatelab.tasks.tables.weighing import balanced_weights, told_class_weights
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName

MIN_FREQUENCY, FEW_ROWS = 5, 200
"""So many train rows a category needs for an id of its own; one in a table of fewer rows."""


@dataclass(frozen=True)
class Prepared:
    """A table whose rows are divided, with what is fitted to those of train."""

    features: Mapping[str, Column]
    target_columns: tuple[TargetColumn, ...]
    splits: Assignment
    fitted: Fitted
    said: tuple[str, ...]
    """Lines of the splits, of targets, and of weighted classes and gaps in columns of a target."""
    weights: Numbers | None = None
    """What rows weigh, ``(rows,)``."""
    class_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of targets whose classes are to weigh the same in train."""

    @property
    def digest(self) -> str:
        """What tells this division of the rows from others, 64 hexadecimal digits."""
        return hashlib.sha256(self.splits.tobytes()).hexdigest()

    def targets(self) -> tuple[Target, ...]:
        """Return the targets, with their classes' names or their unit."""
        return tuple(
            self._target(*columns) if len(columns) == 1 else self._vector(columns)
            for columns in by_vector(self.target_columns)
        )

    def _vector(self, columns: Sequence[TargetColumn]) -> Target:
        units = [self.fitted.targets[it.name] for it in columns]
        return Target(
            columns[0].vector,
            "regression",
            weight=columns[0].weight,
            scale=tuple(unit.deviation for unit in units),
            offset=tuple(unit.mean for unit in units),
            width=len(columns),
            columns=tuple(it.name for it in columns),
        )

    def _target(self, target: TargetColumn) -> Target:
        unit = self.fitted.targets.get(target.name, Scale(0.0, 1.0))
        return Target(
            target.label or target.name,
            target.kind,
            len(target.classes) if target.kind == "multiclass" else None,
            target.weight,
            target.classes,
            unit.deviation,
            unit.mean,
            self.class_weights.get(target.name),
        )

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split, in float32: inputs, numbers and flags before ids; targets."""
        rows = np.flatnonzero(self.splits == SPLIT_NUMBERS[name])
        values = np.column_stack([self._values(target)[rows] for target in self.target_columns])
        targets = torch.from_numpy(np.nan_to_num(values).astype(np.float32))
        inputs = torch.from_numpy(self.fitted.inputs(self.features, rows))
        whole = all(target.known.all() for target in self.target_columns)
        firsts = np.cumsum([0, *map(len, by_vector(self.target_columns))])[:-1]
        mask = None if whole else torch.from_numpy(~np.isnan(values[:, firsts]))
        if self.weights is None:
            return Split(inputs, targets, mask)
        return Split(inputs, targets, mask, torch.from_numpy(self.weights[rows]).float())

    def _values(self, target: TargetColumn) -> npt.NDArray[np.float64]:
        scale = self.fitted.targets.get(target.name)
        return target.values if scale is None else scale.standardised(target.values)


def default_frequency(rows: int) -> int:
    """Return how many train rows a category needs in a table of so many rows."""
    return 1 if rows < FEW_ROWS else MIN_FREQUENCY


def prepare(
    contents: Contents,
    target_columns: Sequence[TargetColumn],
    rule: SplitRule,
    *,
    together: bool = False,
    min_frequency: int | None = None,
    split_seed: int = 0,
    weights: Numbers | None = None,
) -> Prepared:
    """Divide a table's rows, and fit what is fitted to those of train.

    Args:
        contents: The table.
        target_columns: Its targets.
        rule: By what its rows are divided.
        together: Whether copies of rows are kept in one split.
        min_frequency: Categories of fewer train rows share an id with unknown ones; by default 5,
            and 1 in a table of fewer than 200 rows.
        split_seed: Another one divides the same rows anew, where there is chance in it.
        weights: What rows weigh, ``(rows,)``; nothing is fitted to those of weight 0.

    Raises:
        TableError: If a column, a target or the division cannot be worked with.
    """
    if min_frequency is None:
        min_frequency = default_frequency(contents.rows)
    splits = divide(contents, target_columns, rule, together=together, split_seed=split_seed)
    check_division(target_columns, splits, weighted=weights is not None)
    apart = {rule.column, *(target.name for target in target_columns)}
    features = {name: c for name, c in contents.columns.items() if name not in apart}
    if not features:
        raise TableError("no column is left as a feature beside the targets.")
    train = splits == SPLIT_NUMBERS["train"]
    scales = {
        target.name: _fit_target(target, target.known & train, weights)
        for target in target_columns
        if target.kind == "regression"
    }
    counting = np.flatnonzero(train if weights is None else train & (weights > 0))
    fitted = Fitted(*fit_features(features, counting, min_frequency, weights), scales)
    _check_sizes(contents, fitted, target_columns)
    by_class = {t.name: balanced_weights(t, train, weights) for t in target_columns if t.balanced}
    said = tuple(_told_partly(first) for first, *_ in by_vector(target_columns) if first.partly)
    said += told_division(target_columns, splits)
    said += tuple(line for t in target_columns for line in told_class_weights(t, by_class))
    return Prepared(features, tuple(target_columns), splits, fitted, said, weights, by_class)


def _check_sizes(contents: Contents, fitted: Fitted, targets: Sequence[TargetColumn]) -> None:
    """Check that no row of any split is too far from those of train for float32."""
    for name, fit in fitted.numbers.items():
        check_fits(name, fit.scale, numbers_of(contents.columns[name]), contents.first_row)
    for target in targets:
        if target.name in fitted.targets:
            scale = fitted.targets[target.name]
            check_fits(target.name, scale, target.values, contents.first_row)


def _told_partly(target: TargetColumn) -> str:
    rows = f"{target.partly:,} row{'s' * (target.partly != 1)}"
    return f"{target.vector}: in {rows} some of its columns have no value: it is unknown there"


def _fit_target(
    target: TargetColumn, rows: npt.NDArray[np.bool_], weights: Numbers | None
) -> Scale:
    weighing = None if weights is None else weights[rows]
    return fit_scale(target.name, target.values[rows], weighing, LEAST_SPREAD_OF_A_TARGET)
