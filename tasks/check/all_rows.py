"""Whether all rows pass through a network: what one raises, or comes to, no trial survives."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from gatelab.conformance import fail
from gatelab.foreign import ForeignError, foreign, told
from gatelab.tasks.check.raised import cause_of
from gatelab.tasks.check.subject import Modules, Subject, known, outputs
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName

PART = 4096
"""Of a split that are passed through a network at once."""
SPLIT_SECONDS = 1.0
"""After which the rest of a split is left to the training."""


def check_every_row_passes(subject: Subject) -> None:
    """No row of any split raises, or has a loss that is no number, as far as a second allows."""
    modules = subject.modules()
    for name, split in subject.splits.items():
        check_rows_pass(modules, name, split, subject.targets)


def check_rows_pass(
    modules: Modules, name: SplitName, split: Split, targets: Sequence[Target]
) -> None:
    """Pass the rows of a split through modules in evaluation, as far as time allows.

    Raises:
        CheckFailed: If any raises, with which rows these were, or the loss of one is no number.
    """
    for module in modules.values():
        module.eval()
    started = time.monotonic()
    for row in range(0, len(split.inputs), PART):
        part = split.part(slice(row, row + PART))
        try:
            with torch.no_grad(), foreign():
                given = outputs(modules, part.inputs)
        except ForeignError as error:
            raised = error.__cause__ or error
            rows = f"{name} rows {row} to {row + len(part.inputs) - 1}"
            fail(f"the network raises {told(raised)} for {rows}", cause_of(raised))
        for what, bad in _without_a_loss(given, part, targets):
            _check_none(bad, f"the {what} for {name} row", row, part.inputs)
        if time.monotonic() - started > SPLIT_SECONDS:
            return


def _without_a_loss(
    given: Mapping[str, Tensor], part: Split, targets: Sequence[Target]
) -> Iterator[tuple[str, Tensor]]:
    """Yield what a module gives of which a loss is no number, and where: ``(rows, ...)``."""
    if any(not isinstance(output, Tensor) for output in given.values()):
        return  # the finding of another check
    for module, output in given.items():
        yield f"{module} gives NaN or inf", ~output.isfinite()
    for target, rows, values in known(part, targets):
        output = given[f"tower of {target.name!r}"]
        squared = target.kind == "regression" and target.loss is None
        if squared and output.shape == (len(part.inputs), target.out_features):
            bad = torch.zeros_like(output, dtype=torch.bool)
            bad[rows] = (output[rows] - values.reshape(-1, target.out_features)).square().isinf()
            yield f"tower of {target.name!r} gives an error whose square is infinite", bad


def _check_none(bad: Tensor, what: str, first: int, inputs: Tensor) -> None:
    """Check that no row is bad alone; where all are the network is, which another check tells."""
    rows = bad.flatten(1).any(1) if bad.dim() > 1 else bad
    if rows.any() and not rows.all():
        row = int(rows.nonzero()[0])
        largest = inputs[row].abs().max()
        fail(f"{what} {first + row}", f"an input far off the others: one of it is {largest:g}")


CHECKS = (check_every_row_passes,)
