"""Columns that give a target away: its copies in other words, rankings and sums of it, groups."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from gatelab.tasks.tables.contents import Column, Contents
from gatelab.tasks.tables.lines import drop_key, name_in_yaml
from gatelab.tasks.tables.sample import codes, sampled

LEAST_ROWS = 10
"""Below, a column that gives a target away is chance."""
_AUC = 0.999
_R2 = 0.9999
_FOLDS = 5
_SMALL = 1e-3
"""A share of the target's deviation: a column that adds less is no part of a sum."""
_GROUPS = re.compile(
    r"(?i)(.*[_ .-])?(id|uid|uuid|patient|person|user|customer|client|subject|participant"
    r"|household|family|session|group)([_ .-]?(id|no|nr|number|code))?"
)
_ROWS_A_GROUP = 2


def giveaways(contents: Contents, targets: Collection[str]) -> tuple[str, ...]:
    """Return a line for each column that gives a target away, and for each that groups rows.

    Told are columns one-to-one with a target, numbers that rank a binary target with an AUC of
    .999 or more, and a line through one or all numbers with a cross-validated R2 of .9999 or
    more; a column that is a target itself is told as one. At most 10,000 rows are looked at, and
    nothing is told of fewer than 10.

    Args:
        contents: The table.
        targets: Names of its columns.
    """
    columns = sampled(contents)
    features = {name: it for name, it in columns.items() if name not in targets}
    lines = list(_groups(features, [columns[name] for name in targets]))
    told = {line.split("`")[1] for line in lines}
    for at, name in enumerate(targets):
        others = {it: columns[it] for it in [*targets][:at]}
        lines += [f"target {line}" for line in _of_target(columns[name], others, drop=False)]
        alone = {it: column for it, column in features.items() if it not in told}
        lines += _of_target(columns[name], alone, drop=True)
    return tuple(lines)


def _of_target(target: Column, others: Mapping[str, Column], *, drop: bool) -> Iterator[str]:
    found = False
    for name, column in others.items():
        rows, how = _alone(target, column)
        if how:
            found = True
            end = f"; {drop_key(name)}?" if drop else "."
            yield f"`{name}` {how} (in {rows} rows){end}"
    if drop and not found and target.kind == "number":
        yield from _together(target, others)


def _alone(target: Column, column: Column) -> tuple[int, str]:
    """Return in how many rows a column gives a target away, and how; nothing if it does not."""
    one, other = codes(target), codes(column)
    both = (one >= 0) & (other >= 0)
    rows, word = int(both.sum()), f"`{target.name}`"
    if rows < LEAST_ROWS:
        return rows, ""
    if _one_to_one(one[both], other[both]):
        return rows, f"gives {word} away: one value of it for each of the other"
    if target.numbers is None or column.numbers is None:
        return rows, ""
    truth, numbers = target.numbers[both], column.numbers[both]
    if target.kind == "binary":
        area = auc(truth, numbers)
        return rows, f"alone ranks {word} (AUC {round(area, 4)})" if area >= _AUC else ""
    score = line_score(numbers[:, None], truth)
    return rows, f"gives {word} away: a line through it has R2 {score:.6g}" if score >= _R2 else ""


def _one_to_one(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> bool:
    """Return whether each value of one stands with one of the other, each in two rows or more."""
    values, others = len(np.unique(one)), len(np.unique(other))
    if values != others or values < 2 or values * 2 > len(one):
        return False
    return len(np.unique(one * (other.max() + 1) + other)) == values


def auc(truth: npt.NDArray[np.float64], numbers: npt.NDArray[np.float64]) -> float:
    """Return how well numbers rank 0 and 1, (rows,), in whichever direction: .5 to 1.

    .5 where one of the two is absent.
    """
    ones = truth == 1
    positives, negatives = int(ones.sum()), int((~ones).sum())
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(numbers)
    area = (ranks[ones].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return float(max(area, 1 - area))


def line_score(inputs: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    """Return the cross-validated R2 of a line through inputs, (rows, columns), for (rows,)."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    if spread == 0:
        return 0.0
    folds = np.arange(len(truth)) % _FOLDS
    wrong = 0.0
    for fold in range(_FOLDS):
        held = folds == fold
        line, middle = _line(inputs[~held], truth[~held])
        wrong += float(((truth[held] - middle - inputs[held] @ line) ** 2).sum())
    return 1 - wrong / spread


def _line(
    inputs: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return slopes, (columns,), and the value at 0 of the line of least squares."""
    centre, scale = inputs.mean(0), inputs.std(0)
    scale[scale == 0] = 1
    slopes = np.linalg.lstsq((inputs - centre) / scale, truth - truth.mean(), rcond=None)[0] / scale
    return slopes, float(truth.mean() - centre @ slopes)


def _together(target: Column, others: Mapping[str, Column]) -> Iterator[str]:
    """Tell of a line through all numbers that are known in at least half the rows."""
    assert target.numbers is not None
    numbers = {name: it.numbers for name, it in others.items() if it.numbers is not None}
    names = [name for name, it in numbers.items() if np.isnan(it).mean() <= 0.5]
    if len(names) < 2:
        return
    table = np.column_stack([target.numbers, *(numbers[name] for name in names)])
    table = table[~np.isnan(table).any(1)]
    truth, inputs = table[:, 0], table[:, 1:]
    if len(table) < max(LEAST_ROWS, 2 * len(names)) or line_score(inputs, truth) < _R2:
        return
    slopes = _line(inputs, truth)[0]
    parts = np.flatnonzero(np.abs(slopes) * inputs.std(0) > _SMALL * truth.std())
    shown = ", ".join(f"`{names[at]}`" for at in parts[:-1]) + f" and `{names[parts[-1]]}`"
    what = "a sum of" if np.allclose(slopes[parts], 1, atol=_SMALL) else "on a line through"
    yield f"`{target.name}` is {what} {shown} (in {len(table)} rows): they give it away."


def _groups(features: Mapping[str, Column], targets: Collection[Column]) -> Iterator[str]:
    """Tell of columns whose values stand for a patient, a user, a session of several rows."""
    for name, column in features.items():
        values = codes(column)
        known = int((values >= 0).sum())
        count = int(values.max(initial=-1)) + 1
        if known < LEAST_ROWS or count < 3 or known < _ROWS_A_GROUP * count:
            continue
        fixed = [it.name for it in targets if _fixes(column, values, it)]
        if fixed or _GROUPS.fullmatch(name):
            each = f", each with one `{'`, `'.join(fixed)}`" if fixed else ""
            key = f"`split: {{group: {name_in_yaml(name)}}}`"
            what = f"`{name}` repeats ({count} values in {known} rows){each}"
            yield f"{what}: {key}, or {drop_key(name)}?"


def _fixes(column: Column, values: npt.NDArray[np.int64], target: Column) -> bool:
    """Return whether each value of a category has one of a target, which has fewer values."""
    if column.kind != "category":
        return False
    truth = codes(target)
    both = (values >= 0) & (truth >= 0)
    ours, theirs = values[both], truth[both]
    groups, answers = len(np.unique(ours)), len(np.unique(theirs))
    if len(ours) < max(LEAST_ROWS, _ROWS_A_GROUP * groups) or answers < 2:
        return False
    fewer = answers < groups or (target.kind == "number" and answers == groups)
    return fewer and len(np.unique(ours * (theirs.max() + 1) + theirs)) == groups
