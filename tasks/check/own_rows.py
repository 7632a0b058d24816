"""What makes scores on the rows of a task of one's own doubtful, as it does on those of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gatelab.tasks.check.given_away import told_given_away
from gatelab.tasks.check.rounding import told_rounding
from gatelab.tasks.check.subject import as_bytes, known
from gatelab.tasks.tables.copies import Words
from gatelab.tasks.tables.lines import gathered
from gatelab.tasks.tables.scarcity import told_classes, told_numbers
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.tasks.tensors import as_tensors

MOST_UNLIKE = 1000.0
"""Of what two input columns span, the larger over the smaller, that goes without a word."""
BYTES_AT_ONCE = 2**24
"""Bytes of inputs that are looked at together: copies of all would be a large task's memory."""


def told_rows(task: Task) -> tuple[str, ...]:
    """Return a line for each reason to doubt scores on a task's rows.

    These are inputs that float32 hardly tells apart, those of very different scale, those that are
    a target, rows of val or test that stand in train too, a class that one of these lacks, and
    targets or classes of few rows. The test split is not kept.
    """
    train = task.data("train")
    made = task.split("test")
    test = Split(*as_tensors("test", made, task.targets))
    rounding = told_rounding("test", made[0])
    scored: dict[SplitName, Split] = {"val": task.data("val"), "test": test}
    shared = _shared(task.targets, train, scored)
    rounded = [f"{rounding}: subtract what they share."] if rounding else []
    return (
        *rounded,
        *_unlike(train.inputs),
        *gathered(told_given_away(task.targets, train)),
        *shared,
        *gathered(_scarce(task, {"train": train, **scored})),
    )


def _unlike(inputs: Tensor) -> Iterator[str]:
    """Tell of input columns of floating type of which one spans far more than another."""
    if inputs.dim() != 2 or not inputs.is_floating_point():
        return
    spans = (inputs.amax(0) - inputs.amin(0)).double()
    varied = spans[spans > 0]
    if not len(varied) or varied.max() <= MOST_UNLIKE * varied.min():
        return
    high, low = int(spans.argmax()), int(torch.where(spans > 0, spans, torch.inf).argmin())
    yield (
        f"column {high} of the inputs spans {spans[high]:.2g} in train, column {low} "
        f"{spans[low]:.2g}, more than {MOST_UNLIKE:,.0f} times less: networks hardly see the "
        "smaller; standardise inputs by those of train, unless the bottom does."
    )


def _shared(
    targets: Sequence[Target], train: Split, scored: dict[SplitName, Split]
) -> Iterator[str]:
    """Tell how many rows stand in train too, with the same inputs and known targets."""
    learnt = _words(targets, train)
    counts = {
        name: int(np.isin(_words(targets, split), learnt).sum()) for name, split in scored.items()
    }
    if any(counts.values()):
        of = (f"{counts[name]:,} of {len(scored[name].inputs):,} rows of {name}" for name in scored)
        yield (
            f"{' and '.join(of)} stand in train too, with the same inputs and targets, so that "
            "scores are too good where rows are not so few that they meet by chance."
        )


def _words(targets: Sequence[Target], split: Split) -> Words:
    """Return 64 bits of each row's inputs and known targets, equal where these are."""
    rows = len(split.inputs)
    if not rows:
        return np.empty(0, np.uint64)
    at_once = max(1, BYTES_AT_ONCE * rows // max(split.inputs.nbytes, 1))
    blocks = (slice(start, start + at_once) for start in range(0, rows, at_once))
    return np.concatenate([_words_of(targets, split, block) for block in blocks])


def _words_of(targets: Sequence[Target], split: Split, block: slice) -> Words:
    values = split.targets[block].double() + 0.0  # no -0.0
    if split.mask is not None:
        widths = torch.tensor([target.width for target in targets])
        values[~split.mask[block].bool().repeat_interleave(widths, 1)] = 0
    parts = (split.inputs[block], values)
    rows = np.concatenate([as_bytes(it).numpy() for it in parts], 1)
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8)))
    words = np.ascontiguousarray(padded).view(np.uint64)
    draw = np.random.default_rng(0)
    odd: Words = draw.integers(2**63, size=(words.shape[1],), dtype=np.uint64) * np.uint64(2)
    odd += np.uint64(1)
    mixed = (words ^ (words >> np.uint64(29))) * odd
    found: Words = (mixed ^ (mixed >> np.uint64(32))) @ odd[::-1]
    return found


def _scarce(task: Task, scored: dict[SplitName, Split]) -> Iterator[str]:
    for name, split in scored.items():
        for target, rows, values in known(split, task.targets):
            if split.weights is not None:
                values = values[split.weights[rows] > 0]
            yield from _of(target, name, values)


def _of(target: Target, split: SplitName, values: Tensor) -> Iterator[str]:
    whose = f"of target `{target.name}`"
    if target.kind == "regression":
        yield from told_numbers(whose, split, len(values)) if split != "train" else ()
        return
    classes = target.num_classes or 2
    names = target.classes or tuple(map(str, range(classes)))
    counts = values.long().bincount(minlength=classes).tolist()
    yield from told_classes(whose, split, dict(zip(names, counts, strict=True)))
