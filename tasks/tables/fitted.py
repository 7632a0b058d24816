"""What is fitted to the train rows of a table, column by column, and kept as plain numbers.

scikit-learn fits numbers; it is imported where it does, for that takes most of a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.lines import missing_key

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
LEAST_SPREAD = 1e-12
"""Of the mean's size: float64 has 16 digits, so that a smaller deviation is of rounding alone."""
LEAST_SPREAD_OF_A_TARGET = 4 * float(np.finfo(np.float64).eps)
"""The same of what is learnt, which is no sum of other columns: all that float64 tells apart."""
SMALLEST_DEVIATION = float(np.finfo(np.float32).tiny)
"""In which a score in the column's unit is still a number and no 0."""
MOST_AT_ONCE = 2**20
"""Numbers that are fitted in one call, 8 MiB of them."""
MOST_CATEGORIES = 2**24
"""Ids stand in float32 beside the numbers, which holds whole numbers to here."""


@dataclass(frozen=True)
class Scale:
    """The mean and the deviation that numbers are standardised by, in their own unit."""

    mean: float
    deviation: float

    def standardised(self, numbers: Numbers) -> Numbers:
        """Return numbers, any shape, as deviations from the mean; NaN stays."""
        return (numbers - self.mean) / self.deviation


LARGEST_DEVIATION = float(np.finfo(np.float32).max)


def check_fits(name: str, scale: Scale, numbers: Numbers, first_row: int) -> None:
    """Check that float32 holds all numbers of a column as deviations from train's mean.

    Args:
        name: The column's.
        scale: Fitted to its train rows.
        numbers: All its rows, NaN where one is missing.
        first_row: What the first is called.

    Raises:
        TableError: If it does not.
    """
    with np.errstate(over="ignore"):
        beyond = np.flatnonzero(np.abs(scale.standardised(numbers)) > LARGEST_DEVIATION)
    if len(beyond):
        at = int(beyond[0])
        value = str(float(numbers[at]))
        raise TableError(
            f"column {name!r} has {value} (row {first_row + at}), too far from the numbers "
            f"of train (mean {scale.mean:.3g}, deviation {scale.deviation:.3g}) to be learnt from: "
            f"{missing_key(name, [value])} takes it for missing."
        )


def fit_scale(
    name: str, numbers: Numbers, weights: Numbers | None = None, least: float = LEAST_SPREAD
) -> Scale:
    """Return the mean and deviation of known numbers ``(rows,)``; a constant's deviation is 1.

    Args:
        name: The column's.
        numbers: Its known ones.
        weights: What each weighs, ``(rows,)``; by default all the same.
        least: Of the mean's size; a smaller deviation is of rounding alone.

    Raises:
        TableError: If they are too large to be squared, or too small for float32.
    """
    [scale] = _fit_scales([name], numbers[:, None], weights, least)
    return scale


def _fit_scales(
    names: Sequence[str],
    numbers: Numbers,
    weights: Numbers | None = None,
    least: float = LEAST_SPREAD,
) -> list[Scale]:
    """Return the scale of each column of known numbers ``(rows, columns)``."""
    from sklearn.preprocessing import StandardScaler

    with np.errstate(over="ignore", invalid="ignore"):
        fitted = StandardScaler().fit(numbers, sample_weight=weights)
    deviations = np.sqrt(fitted.var_)
    rounding = least * np.abs(fitted.mean_)
    for name, deviation, column, small in zip(names, deviations, numbers.T, rounding, strict=True):
        if not np.isfinite(deviation):
            largest = np.abs(column).max()
            raise TableError(
                f"column {name!r}: numbers to {largest:g} are too large to standardise."
            )
        if deviation < SMALLEST_DEVIATION and np.ptp(column) > small:
            raise TableError(
                f"column {name!r}: numbers that differ by {np.ptp(column):.3g} are too small to "
                "standardise: give them in another unit."
            )
    constant = deviations <= rounding
    deviations[constant] = 1.0
    return list(map(Scale, fitted.mean_.tolist(), deviations.tolist()))


@dataclass(frozen=True)
class NumberFit:
    """How a column of numbers is imputed and standardised."""

    fill: float
    """Stands where a number is missing: the train rows' median, 0 if none of theirs is known."""
    scale: Scale
    flagged: bool
    """Whether a flag says where a number is missing, as it is somewhere in the file."""


def fit_numbers(
    columns: Sequence[Column], train: Rows, weights: Numbers | None = None
) -> dict[str, NumberFit]:
    """Return the fits of columns to their train rows, by name.

    So many are fitted at once as hold a million numbers: scikit-learn takes milliseconds a call.

    Args:
        columns: Of numbers, all their rows.
        train: To which of them they are fitted.
        weights: Of all rows, for means and deviations.

    Raises:
        TableError: If a column's numbers are too large.
    """
    at_once = max(1, MOST_AT_ONCE // len(train))
    blocks = (columns[at : at + at_once] for at in range(0, len(columns), at_once))
    return {name: fit for block in blocks for name, fit in _fit_block(block, train, weights)}


def _fit_block(
    columns: Sequence[Column], train: Rows, weights: Numbers | None
) -> Iterator[tuple[str, NumberFit]]:
    from sklearn.impute import SimpleImputer

    # Column by column in memory, so that each is summed as if it were alone.
    numbers = np.empty((len(train), len(columns)), order="F")
    for place, column in enumerate(columns):
        numbers[:, place] = numbers_of(column)[train]
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    with np.errstate(over="ignore", invalid="ignore"):  # its sum, of numbers refused below
        filled = imputer.fit_transform(numbers)
    names = [column.name for column in columns]
    if weights is None:
        scales = _fit_scales(names, filled)
    else:  # weighted sums of several columns are rounded in another way than those of one
        scales = [fit_scale(*it, weights[train]) for it in zip(names, filled.T, strict=True)]
    [fills] = imputer.transform(np.full((1, len(columns)), np.nan)).tolist()
    for column, fill, scale in zip(columns, fills, scales, strict=True):
        yield column.name, NumberFit(fill, scale, bool(np.isnan(numbers_of(column)).any()))


def fit_category(column: Column, train: Rows, min_frequency: int) -> tuple[str | None, ...]:
    """Return the values that have an id of their own, sorted: ``min_frequency`` train rows or more.

    A missing value is one like others, ``None``, and the last. Ids count from 1; what is rare or
    unknown shares id 0, so that the id which unknown values will have is trained, by the rare.

    Raises:
        TableError: If there are more than a float32 can number.
    """
    counted = category_texts(column).take(pa.array(train)).value_counts()
    often = pc.greater_equal(counted.field("counts"), min_frequency)
    values: list[str | None] = counted.field("values").filter(often).to_pylist()
    if len(values) >= MOST_CATEGORIES:
        raise TableError(
            f"column {column.name!r} has {len(values):,} categories, of at most "
            f"{MOST_CATEGORIES - 1:,}: give a larger `min_frequency`, or leave it out by `drop`."
        )
    return tuple(sorted(values, key=lambda value: (value is None, value or "")))


def ids(values: tuple[str | None, ...], texts: pa.Array) -> Rows:
    """Return each text's place among values, from 1; 0 where it is not among them."""
    found = pc.index_in(texts, value_set=pa.array(values, texts.type))
    return np.asarray(pc.add(pc.fill_null(found, -1), 1), np.int64)


@dataclass(frozen=True)
class Fitted:
    """All that is fitted to the train rows of a table."""

    numbers: Mapping[str, NumberFit]
    categories: Mapping[str, tuple[str | None, ...]]
    targets: Mapping[str, Scale]
    """Of regression targets."""

    @cached_property
    def flagged(self) -> list[str]:
        """The columns that a flag belongs to, in order."""
        return [name for name, fit in self.numbers.items() if fit.flagged]

    def inputs(self, columns: Mapping[str, Column], rows: Rows) -> npt.NDArray[np.float32]:
        """Return numbers, then flags, then ids of so many rows, ``(rows, features)``."""
        wide = len(self.numbers) + len(self.flagged) + len(self.categories)
        # One column after the other in one array: float64 copies of all would be the whole memory.
        made = np.empty((len(rows), wide), np.float32)
        places = iter(range(wide))
        for name, fit in self.numbers.items():
            numbers = numbers_of(columns[name])[rows]
            filled = np.where(np.isnan(numbers), fit.fill, numbers)
            made[:, next(places)] = fit.scale.standardised(filled)
        for name in self.flagged:
            made[:, next(places)] = np.isnan(numbers_of(columns[name])[rows])
        for name, values in self.categories.items():
            made[:, next(places)] = ids(values, category_texts(columns[name]).take(pa.array(rows)))
        return made


def fit_features(
    columns: Mapping[str, Column],
    train: Rows,
    min_frequency: int,
    weights: Numbers | None = None,
) -> tuple[dict[str, NumberFit], dict[str, tuple[str | None, ...]]]:
    """Return the fits of columns of numbers, and those of categories, by name.

    Args:
        columns: Of the table, all its rows.
        train: To which of them they are fitted.
        min_frequency: Categories of fewer of these share an id with unknown ones.
        weights: Of all rows, for means and deviations.

    Raises:
        TableError: If a column's numbers are too large, or its categories too many.
    """
    numbers = [column for column in columns.values() if column.kind != "category"]
    categories = {name: column for name, column in columns.items() if column.kind == "category"}
    return (
        fit_numbers(numbers, train, weights),
        {name: fit_category(it, train, min_frequency) for name, it in categories.items()},
    )


def numbers_of(column: Column) -> Numbers:
    """Return the numbers of a column of any kind but category, ``(rows,)``."""
    assert column.numbers is not None, column.name
    return column.numbers


def category_texts(column: Column) -> pa.Array:
    """Return the texts of a category, ``(rows,)``."""
    assert column.texts is not None, column.name
    return column.texts
