"""Checks of a task's data: shapes, values, classes, and rows that are in two splits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Real

import torch
from torch import Tensor

from gatelab.conformance import CheckFailed, fail
from gatelab.foreign import ForeignError, foreign, told
from gatelab.tasks.check.declared import check_set_of_targets, check_truth
from gatelab.tasks.check.subject import SPLITS, Subject, as_bytes, known
from gatelab.tasks.check.weights import check_all_weighted, check_weights
from gatelab.tasks.columns import num_columns
from gatelab.tasks.data_sets.data_set import DataError
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.tasks.tensors import NoTensors, as_tensors

LEARNT: tuple[SplitName, ...] = ("train", "val")
PAIRS: tuple[tuple[SplitName, SplitName], ...] = (
    ("val", "train"),
    ("test", "train"),
    ("test", "val"),
)


def check_data(task: Task) -> None:
    """Check targets, and whether every split can be made, trained on and scored.

    The test split is made to look at its form alone, and is not kept: what it lacks would be found
    when the whole search is spent.

    Raises:
        ValueError: If a target, a shape, a value or a class cannot be trained on, scored or
            recorded, or a split cannot be made.
    """
    try:
        check_set_of_targets(getattr(task, "targets", None))
        splits: dict[SplitName, Split] = {}
        for name in SPLITS:  # a fault in what is trained on is said before others are made
            splits[name] = _made(task, name)
            for check in (
                _check_shapes,
                check_weights,
                _check_known,
                _check_values,
                _check_classes,
            ):
                check(name, splits[name], task.targets)
            _check_alike(splits)
            check_all_weighted(splits)
        check_truth(task.truth, task.targets)
        _check_ratio(task)
    except CheckFailed as error:
        raise ValueError(str(error)) from error


def _made(task: Task, name: SplitName) -> Split:
    try:
        with foreign():
            if name in LEARNT:
                return task.data(name)
            return Split(*as_tensors(name, task.split(name), task.targets))
    except ForeignError as error:
        cause = error.__cause__
        if cause is None or isinstance(cause, (NoTensors, DataError)):
            raise
        raise ValueError(f"split({name!r}) raises {told(cause)}.") from cause


def _check_ratio(task: Task) -> None:
    """Check what an evaluation asks at its end, when the search is spent."""
    if type(task).test_to_train is Task.test_to_train:
        return
    try:
        with foreign():
            found = task.test_to_train()
    except ForeignError as error:
        raise ValueError(f"test_to_train() raises {told(error.__cause__ or error)}.") from error
    finally:
        task.forget("test")
    if not (isinstance(found, Real) and 0 <= found < math.inf):
        fail(
            f"test_to_train() gives {found!r:.100}",
            "no ratio of rows, a finite number of 0 or more",
        )


def check_splits_have_shapes(subject: Subject) -> None:
    """Inputs, targets and mask have the same rows, and a column for every target."""
    check_shapes(subject.splits, subject.targets)


def check_shapes(splits: Mapping[SplitName, Split], targets: Sequence[Target]) -> None:
    """Check the shapes of splits.

    Raises:
        CheckFailed: If inputs, targets and mask do not fit each other, or not those of another.
    """
    for name, split in splits.items():
        _check_shapes(name, split, targets)
    _check_alike(splits)


def check_values_are_finite(subject: Subject) -> None:
    """No input and no known target is NaN or infinite."""
    for name, split in subject.splits.items():
        _check_values(name, split, subject.targets)


def check_classes_are_in_range(subject: Subject) -> None:
    """Known classes are whole numbers from 0 to one below their number."""
    for name, split in subject.splits.items():
        _check_classes(name, split, subject.targets)


def _check_shapes(name: SplitName, split: Split, targets: Sequence[Target]) -> None:
    inputs, values, mask, _ = split
    rows, columns = len(inputs) if inputs.dim() else 0, num_columns(targets)
    if not rows or inputs.dim() < 2 or not inputs.numel():
        fail(
            f"{name} inputs are of shape {tuple(inputs.shape)}, not (rows, ...)",
            "no rows, or a single feature without a dimension of its own",
        )
    if values.shape != (rows, columns):
        form = "(rows, targets)" if columns == len(targets) else "(rows, columns of all targets)"
        fail(
            f"{name} targets are of shape {tuple(values.shape)}, not {form} = {(rows, columns)}",
            "a column too few, or rows left out of one of them",
        )
    if mask is not None and mask.shape != (rows, len(targets)):
        fail(
            f"{name} mask is of shape {tuple(mask.shape)}, not (rows, targets) = "
            f"{(rows, len(targets))}",
            "a mask of rows, or of a target's columns, which are known together",
        )


def _check_alike(splits: Mapping[SplitName, Split]) -> None:
    (first, split), *others = splits.items()
    shape, dtype = tuple(split.inputs.shape[1:]), split.inputs.dtype
    for name, other in others:
        if (tuple(other.inputs.shape[1:]), other.inputs.dtype) != (shape, dtype):
            fail(
                f"a row of {name} inputs is {tuple(other.inputs.shape[1:])} {other.inputs.dtype}, "
                f"but one of {first} {shape} {dtype}",
                "columns that are made from each split's own values",
            )


def _check_known(name: SplitName, split: Split, targets: Sequence[Target]) -> None:
    for target, rows, _ in known(split, targets):
        if not len(rows):
            fail(f"{name} knows no value of {target.name!r}", "a mask the wrong way round")


def _check_values(name: SplitName, split: Split, targets: Sequence[Target]) -> None:
    _check_finite(f"{name} inputs", split.inputs, "gaps in the source")
    for target, rows, values in known(split, targets):
        what = f"{name} target {target.name!r}"
        _check_finite(what, values, "gaps that no mask marks", rows)
        if target.kind == "regression" and target.loss is None:
            _check_squares(what, target, values, rows)


def _check_squares(what: str, target: Target, values: Tensor, rows: Tensor) -> None:
    """Check that errors can be squared in single precision, in which losses are computed."""
    sizes = values.float().abs().flatten(1 if values.dim() > 1 else 0)
    sizes = sizes.amax(1) if sizes.dim() > 1 else sizes
    if len(sizes) and sizes.max().square().isinf():
        row = int(sizes.argmax())
        far = target.in_unit(values)[row].flatten()
        largest = far[far.abs().argmax()]
        fail(
            f"{what} holds {largest:g} (row {rows[row]}), whose squared error is infinite",
            "a number that stands for none, for a mask (of a table, for `missing`)",
        )


def _check_finite(what: str, values: Tensor, cause: str, rows: Tensor | None = None) -> None:
    bad = (~torch.isfinite(values)).flatten(1 if values.dim() > 1 else 0)
    found = (bad.any(1) if bad.dim() > 1 else bad).nonzero().flatten()
    if len(found):
        first = int(found[0] if rows is None else rows[found[0]])
        fail(
            f"{len(found)} of {len(values)} rows of {what} hold NaN or inf (first: row {first})",
            cause,
        )


def _check_classes(name: SplitName, split: Split, targets: Sequence[Target]) -> None:
    for target, _, values in known(split, targets):
        classes = {"multiclass": target.num_classes, "binary": 2}.get(target.kind)
        if classes is None:
            continue
        wrong = values[(values < 0) | (values >= classes) | (values != values.long())]
        if len(wrong):
            fail(
                f"{name} target {target.name!r} holds {wrong[0].item():g}, not one of the "
                f"{classes} classes 0 to {classes - 1}",
                "soft labels, which are no classes"
                if (wrong != wrong.long()).any()
                else "classes counted from 1, -1 where a mask is due, or too few `num_classes`",
            )


def check_every_target_is_known_somewhere(subject: Subject) -> None:
    """Every target is known in train and val, and in train more than one value is."""
    for name in LEARNT:
        _check_known(name, subject.splits[name], subject.targets)
        for target, _, values in known(subject.splits[name], subject.targets):
            if name == "train" and (values == values[0]).all():
                only = f"{values[0].item():g}" if values.dim() == 1 else "those of one row"
                fail(
                    f"train knows no value of {target.name!r} but {only}",
                    "rows sorted by class before they were split",
                )


def check_splits_differ(subject: Subject) -> None:
    """What is learnt is judged on other rows, as far as there are others."""
    for name, other in PAIRS:
        rows, others = _rows(subject.splits[name]), _rows(subject.splits[other])
        counts = Counter(others)
        share = sum(row in counts for row in rows) / max(len(rows), 1)
        # Rows that meet their like within a split tell how many meet one by chance.
        by_chance = sum(counts[row] > 1 for row in others) / max(len(others), 1)
        if share - by_chance > 0.5:
            fail(f"{share:.0%} of the {name} inputs are in {other}", "one source for both splits")


def _rows(split: Split) -> list[int]:
    """Return a hash of each row, which takes less memory than its bytes."""
    return [hash(row.tobytes()) for row in as_bytes(split.inputs).numpy()]


CHECKS = (
    check_splits_have_shapes,
    check_values_are_finite,
    check_classes_are_in_range,
    check_every_target_is_known_somewhere,
    check_splits_differ,
)
