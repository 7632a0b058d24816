"""Whether all rows pass through a network: what one raises, no trial survives."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from gatelab.conformance import fail
from gatelab.foreign import ForeignError, foreign, told
from gatelab.tasks.check.raised import cause_of
from gatelab.tasks.check.subject import Modules, Subject, outputs
from gatelab.tasks.task import SplitName

PART = 4096
"""Of a split that are passed through a network at once."""
SPLIT_SECONDS = 1.0
"""After which the rest of a split is left to the training."""


def check_every_row_passes(subject: Subject) -> None:
    """No row of any split raises, as far as a second allows."""
    modules = subject.modules()
    for name, split in subject.splits.items():
        check_rows_pass(modules, name, split.inputs)


def check_rows_pass(modules: Modules, name: SplitName, inputs: Tensor) -> None:
    """Pass the rows of a split through modules in evaluation, as far as time allows.

    Raises:
        CheckFailed: If any raises, with which rows these were.
    """
    for module in modules.values():
        module.eval()
    started, row = time.monotonic(), 0
    for part in inputs.split(PART):
        try:
            with torch.no_grad(), foreign():
                outputs(modules, part)
        except ForeignError as error:
            raised, rows = error.__cause__ or error, f"{name} rows {row} to {row + len(part) - 1}"
            fail(f"the network raises {told(raised)} for {rows}", cause_of(raised))
        row += len(part)
        if time.monotonic() - started > SPLIT_SECONDS:
            return


CHECKS = (check_every_row_passes,)
