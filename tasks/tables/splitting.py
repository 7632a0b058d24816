"""The division of a table's rows between train, val and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gatelab.registry import near_misses
from gatelab.tasks.streams import stream
from gatelab.tasks.tables.cells import texts_of
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.fitted import Rows, category_texts, numbers_of
from gatelab.tasks.tables.split_rule import SplitRule
from gatelab.tasks.tables.target_columns import TargetColumn

Assignment = npt.NDArray[np.uint8]
"""``(rows,)``: 0 in train, 1 in val, 2 in test."""
Shares = tuple[float, float, float]
_TRAIN, _VAL, _TEST = 0, 1, 2


def by_chance(units: Rows, strata: Rows, shares: Shares, split_seed: int) -> Assignment:
    """Divide rows at random, each stratum by the shares.

    Args:
        units: ``(rows,)``: rows of one number stay together, and count as one.
        strata: ``(rows,)``, of which rows of a unit have the same.
        shares: Of train, val and test, which add up to 1.
        split_seed: Another one divides the same rows anew.
    """
    _, first, unit_of = np.unique(units, return_index=True, return_inverse=True)
    order = stream("common", 0, split_seed).permutation(len(first))
    dealt = np.zeros(len(first), np.uint8)
    seen, given = 0, [0, 0, 0]
    for members in _from_the_rarest(strata[first][order]):
        seen += len(members)
        least = int(len(members) >= 3)  # one in each split, or all of them in train
        left = len(members) - least if least else 0
        for split in (_VAL, _TEST):
            owed = round(shares[split] * seen) - given[split]
            count = min(max(owed, least), left - least * (_TEST - split))
            dealt[order[members[:count]]] = split
            members, left = members[count:], left - count
            given[split] += count
    return dealt[unit_of]


def _from_the_rarest(strata: Rows) -> list[Rows]:
    """Return the places of each stratum's members; what rare ones cost, common ones make good."""
    places = np.argsort(strata, kind="stable")
    cuts = np.flatnonzero(np.diff(strata[places])) + 1
    return sorted(np.split(places, cuts), key=len)


def rarest_classes(target_columns: Sequence[TargetColumn]) -> Rows:
    """Return a stratum for each row, ``(rows,)``: its rarest class over all targets.

    A known value of a regression target counts as a class: rare, if few rows know one. Of equally
    rare ones it is that of the first target. Rows that know nothing are a stratum, -1.
    """
    rows = len(target_columns[0].values)
    strata, fewest = np.full(rows, -1), np.full(rows, np.iinfo(np.int64).max)
    begin = 0
    for labels in (target.labels for target in target_columns):
        counts = np.bincount(labels + 1)
        rows_like = np.where(labels < 0, np.iinfo(np.int64).max, counts[labels + 1])
        strata = np.where(rows_like < fewest, begin + labels, strata)
        fewest = np.minimum(fewest, rows_like)
        begin += len(counts)
    return strata


def by_column(column: Column, rule: SplitRule) -> Assignment:
    """Divide rows by what a column says; those that are neither val nor test are train.

    Raises:
        TableError: If no row is of train, val or test.
    """
    texts = _texts(column)
    val, test = (_as_held(value, texts) for value in (rule.val, rule.test))
    for name, value in (("val", val), ("test", test)):
        if value not in texts:
            near = near_misses(value, set(texts))
            raise TableError(
                f"`split`: no row has {value!r}, of {name}, in {column.name!r}; {near}"
            )
    found = np.array(texts)
    splits: Assignment = (_VAL * (found == val) + _TEST * (found == test)).astype(np.uint8)
    if splits.all():
        raise TableError(f"`split`: every row is of val or test by {column.name!r}, none of train.")
    return splits


def _as_held(value: str, texts: Sequence[str]) -> str:
    """Return what a spec says as a column holds it: ``True`` of YAML may be ``true`` there."""
    (spelled,) = texts_of([value])
    if value in texts or spelled.lower() not in ("true", "false"):
        return value if value in texts else spelled
    return next((text for text in texts if text.lower() == spelled.lower()), value)


def by_group(column: Column, shares: Shares, split_seed: int) -> Assignment:
    """Divide rows so that no group, named by a column, is in two splits.

    Groups are taken in the order of their hashes, until the share of rows is met as nearly as can
    be, with one group in each split at least.

    Raises:
        TableError: If the column has fewer than three groups.
    """
    groups, group_of, sizes = np.unique(_texts(column), return_inverse=True, return_counts=True)
    order = np.argsort([_hash(f"{split_seed} {group}") for group in groups])
    dealt = np.empty(len(groups), np.uint8)
    dealt[order] = _cut(column.name, "groups", sizes[order], shares)
    return dealt[group_of]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def by_time(column: Column, shares: Shares) -> Assignment:
    """Divide rows so that val is later than train, and test later than val; equal times together.

    Raises:
        TableError: If the column has fewer than three times.
    """
    numbers = numbers_of(column)
    _, time_of, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    return _cut(column.name, "times", sizes, shares)[time_of]


def _cut(name: str, what: str, sizes: Rows, shares: Shares) -> Assignment:
    """Divide parts of so many rows, in their order, where the shares of rows are met best."""
    if len(sizes) < 3:
        raise TableError(
            f"`split`: {name!r} has {len(sizes)} {what[: -1 if len(sizes) == 1 else None]}, but "
            "three are the least for three splits."
        )
    rows = sizes.cumsum()  # before the end of each part
    first = int(np.abs(rows[:-2] - shares[_TRAIN] * rows[-1]).argmin()) + 1
    second = int(np.abs(rows[first:-1] - (1 - shares[_TEST]) * rows[-1]).argmin()) + first + 1
    return np.repeat(
        np.array([_TRAIN, _VAL, _TEST], np.uint8), [first, second - first, len(sizes) - second]
    )


def _texts(column: Column) -> list[str]:
    texts: list[str] = category_texts(column).to_pylist()
    return texts


def check_filled(column: Column, first_row: int) -> None:
    """Check that a column by which rows are divided has a value in each.

    Raises:
        TableError: If it has not.
    """
    if column.kind == "category":
        missing = np.asarray(category_texts(column).is_null())
    else:
        missing = np.isnan(numbers_of(column))
    if missing.any():
        raise TableError(
            f"`split`: {column.name!r} has no value in {missing.sum()} of {len(missing)} rows "
            f"(first: row {int(missing.argmax()) + first_row}), which belong nowhere then."
        )
