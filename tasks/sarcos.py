"""The torques of a robot's arm: SARCOS."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gatelab.rules import check_not_negative
from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet
from gatelab.tasks.data_sets.matlab import read_matlab
from gatelab.tasks.data_sets.published_tables import (
    PART_COLUMN,
    Floats,
    finite_numbers,
    published_split,
    with_parts,
)
from gatelab.tasks.streams import stream
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import register_task

_ADDRESS = "http://www.gaussianprocess.org/gpml/data"
SARCOS = DataSet(
    "sarcos",
    (
        DataFile(
            "sarcos_inv.mat",
            f"{_ADDRESS}/sarcos_inv.mat",
            "b8a249733253ba6097372fedee7696833fcf30de42037d5b4a7227f21a6d1d97",
        ),
        DataFile(
            "sarcos_inv_test.mat",
            f"{_ADDRESS}/sarcos_inv_test.mat",
            "161a59b5c3b4f4b404584323f181607b2acbe620eb134dc720760dc3f38f5cec",
        ),
    ),
    source="Vijayakumar and Schaal (2000); Rasmussen and Williams, Gaussian Processes (2006), 2.5.",
    licence="none is stated: a download for your own use.",
)
INPUTS, TORQUES = 21, 7
VAL_PART = 10
"""One row of so many of the training file is val."""
_NAMES = [f"{what}_{i + 1}" for what in ("position", "velocity", "acceleration") for i in range(7)]


@register_task("sarcos")
class Sarcos(Table):
    """Tells seven torques of a robot's arm from positions, velocities and accelerations.

    Rows of one trajectory stand in both published files, so that test scores of a model that
    remembers are too good. Source: Rasmussen and Williams, "Gaussian Processes for Machine
    Learning" (2006), section 2.5.
    """

    data_sets = (SARCOS,)

    def __init__(self, *, split: str = "published", seed: int = 0, split_seed: int = 0) -> None:
        """Read both files.

        Args:
            split: ``published``: test is the second file, val a tenth of the first one, drawn by
                ``seed``; or ``random``: all rows in parts as large, by ``split_seed``.
            seed: Of the rows of val.
            split_seed: Another one divides the same rows anew, where the split is random.

        Raises:
            DataError: If a file is not on this machine, or is none of these.
            ValueError: If an option is out of its range.
        """
        check_not_negative(seed=seed)
        learnt, test = (_sarcos_rows(file.name) for file in SARCOS.files)
        order = stream("common", seed).permutation(len(learnt))
        parts = ["val" if place % VAL_PART == 0 else "train" for place in order]
        parts += ["test"] * len(test)
        names = [*_NAMES, *(f"torque_{i + 1}" for i in range(TORQUES))]
        rows = np.concatenate([learnt, test])
        table = pa.table({name: rows[:, i] for i, name in enumerate(names)})
        super().__init__(
            with_parts(table, parts),
            targets=dict.fromkeys(names[INPUTS:], "regression"),
            kinds={"*": "number"},
            drop=() if split == "published" else (PART_COLUMN,),
            split=published_split(split, parts),
            split_seed=split_seed,
        )


def _sarcos_rows(name: str) -> Floats:
    path = SARCOS.found(name)
    (found,) = read_matlab(SARCOS, name, [path.stem])
    rows = finite_numbers(path, path.stem, found)
    if rows.ndim != 2 or rows.shape[1] != INPUTS + TORQUES:
        raise DataError(
            f"{path}: {path.stem} is of shape {rows.shape}, not (rows, {INPUTS + TORQUES})."
        )
    return rows
