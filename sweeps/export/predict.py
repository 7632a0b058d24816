"""Predict: a sweep's selected model on the rows of a new file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyarrow import csv, parquet
from torch import Tensor

from gatelab.durable import draft_of
from gatelab.registry import near_misses
from gatelab.results.comparing import read_sweeps
from gatelab.sweeps.export.predictor import Predictor
from gatelab.sweeps.export.raw_graph import RawGraph, value_names
from gatelab.sweeps.export.selected import Selected, chosen_gate, read_selected
from gatelab.tasks.tables.lines import gathered
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.table import Table
from gatelab.tracking.schema import FOLDER, Tags

BATCH_ROWS = 8192
_WRITERS: Mapping[str, Callable[[pa.Table, str], Any]] = {
    ".csv": csv.write_csv,
    ".parquet": parquet.write_table,
}


@dataclass(frozen=True)
class Predictions:
    """A file of predictions, and what they were made by."""

    path: Path
    rows: int
    gate: str
    """The gate's name in the spec."""
    seed: int
    test_loss: float
    """What was recorded of that seed as ``test/loss``."""
    said: tuple[str, ...]
    """What was found in the new file, and how many of its cells were missing or unknown."""
    partial: str = ""
    """How far the sweep is, where no gate was asked for and another may still be better."""


def predict(
    sweep: str,
    file: object,
    *,
    gate: str | None = None,
    output: str | Path = "predictions.csv",
    reading: Mapping[str, Any] = {},
    folder: str | Path = FOLDER,
    uri: str | None = None,
) -> Predictions:
    """Write what a gate's selected model predicts for each row of a file, or of a frame.

    It is read by the keys and kinds of the sweep's own table. Nothing is trained.

    Args:
        sweep: The name of a sweep whose task is ``table``.
        file: The path of a CSV or Parquet file, or a frame of pandas, polars, pyarrow or NumPy,
            with the columns that are features; other columns are ignored.
        gate: The gate's name in the spec; by default of the one with the lowest ``test/loss``.
        output: The file to write, ``.csv`` or ``.parquet``: a row for each row, a column for each
            class (``income=yes``) and each regression target (``weeks``).
        reading: Where the file is written in another way than the table, the keys of the table's
            ``reading`` that say so: ``delimiter``, ``decimal``, ``encoding``, ``header``.
        folder: Of the store.
        uri: MLflow's tracking URI; by default what the sweep's launch in the folder named, or the
            SQLite store there.

    Raises:
        LookupError: If there is no such sweep, or no such gate in it.
        ValueError: If there is no model or no table, the file is none that the model can read, or
            the output cannot be written there.
        StoreUnavailable: If the store cannot be used.
    """
    output = Path(output)
    _check_output(output)
    _check_writable(output)
    (record,) = read_sweeps(sweep, folder=folder, uri=uri)
    label, partial = chosen_gate(record, gate)
    selected = read_selected(record, label, folder)
    if not isinstance(table := selected.task, Table):
        name = record.run.tags.get(Tags.TASK, "another") if record.run else "another"
        raise ValueError(
            f"predict needs a task of name `table`, but sweep {sweep!r} has {name}: "
            "`gatelab export` makes a model of tensors of it."
        )
    sheet = table.read(file, reading)
    cells, counted = _cells(table, sheet)
    values = _values(selected, table, torch.from_numpy(cells))
    write_rows(
        pa.table(dict(zip(value_names(table.targets), values.T.numpy(), strict=True))), output
    )
    about = (selected.gate, selected.seed, selected.test_loss)
    return Predictions(output, sheet.rows, *about, (*sheet.said, *gathered(counted)), partial)


def _check_output(output: Path) -> None:
    if output.suffix not in _WRITERS:
        kinds = " or ".join(_WRITERS)
        raise ValueError(f"`--output` must end in {kinds}, but got {str(output)!r}.")
    if output.exists() or output.is_symlink():
        raise ValueError(f"{output} is there already: give another `--output`, or move it away.")
    if not output.parent.is_dir():
        raise ValueError(f"there is no folder {output.parent}, where {output.name} should be.")


def _check_writable(output: Path) -> None:
    """Find out before all else is computed."""
    with _naming(output):
        TemporaryFile(dir=output.parent).close()


@contextmanager
def _naming(output: Path) -> Iterator[None]:
    """Say in one line that an output cannot be written; a full disk names no file itself."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise ValueError(f"{output} cannot be written: {why}.") from error


def _cells(table: Table, sheet: Sheet) -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[str]]:
    """Return the cells of a sheet as numbers and ids, and a line on each column with gaps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, of its own code
        from gatelab.tracking.mlflow_serve import CellReader

    recipe = table.recipe()
    _check_columns(recipe["columns"], sheet)
    reader = CellReader(recipe, sheet.first_row)
    cells = reader.read(sheet.columns)
    lines = []
    for at, name in enumerate(recipe["columns"]):
        if name in reader.categories:
            missing = np.asarray(pc.is_null(reader.texts(name, sheet.columns[name])), bool)
            unknown = int(((cells[:, at] == 0) & ~missing).sum())
        else:
            missing, unknown = np.isnan(cells[:, at]), 0
        lines += _told(name, int(missing.sum()), unknown)
    return cells, lines


def _check_columns(needed: Mapping[str, Any], sheet: Sheet) -> None:
    lacking = [name for name in needed if name not in sheet.columns]
    if not lacking:
        return
    if len(lacking) == 1:
        if why := sheet.left_out.get(lacking[0]):
            raise ValueError(f"the file's column `{lacking[0]}` cannot be read ({why}).")
        near = near_misses(lacking[0], sheet.columns)
        raise ValueError(f"the file has no column `{lacking[0]}`, which the model reads; {near}")
    names = ", ".join(f"`{name}`" for name in lacking)
    found = _parted_otherwise(needed, sheet) or f"it has {', '.join(sorted(sheet.columns))}"
    raise ValueError(f"the file has none of the columns {names}, which the model reads; {found}.")


def _parted_otherwise(needed: Mapping[str, Any], sheet: Sheet) -> str:
    """Return what to say of a file that is one column by the table's delimiter, but not by its."""
    (header, *others), signs = sheet.columns, (",", ";", "\t", "|")
    parts = {sign: {part.strip(' "') for part in header.split(sign)} for sign in signs}
    sign = next((it for it in signs if not others and parts[it] & {*needed}), None)
    if sign is None:
        return ""
    key = sign.replace("\t", "\\t")
    remedy = f'`reading: {{delimiter: "{key}"}}`'
    return f"it is one column by the table's delimiter: say its own, {remedy}"


def _told(name: str, missing: int, unknown: int) -> list[str]:
    parts = [f"{missing:,} missing"] if missing else []
    if unknown:
        parts.append(f"{unknown:,} unknown, of values that are rare in train or not there")
    return [f"`{name}`: {'; '.join(parts)}."] if parts else []


@torch.no_grad()
def _values(selected: Selected, table: Table, cells: Tensor) -> Tensor:
    """Return predictions ``(rows, values)``, in batches whose size bounds the memory."""
    graph = RawGraph(Predictor(*selected.models), table.fitted)
    return torch.cat([graph(batch) for batch in cells.split(BATCH_ROWS)])


def write_rows(made: pa.Table, output: Path) -> None:
    """Write a file under its name only when it is whole.

    Raises:
        ValueError: If it is there already, or there is no room.
    """
    with _naming(output), draft_of(output) as draft:
        _WRITERS[output.suffix](made, str(draft))
        _check_output(output)  # it may have come meanwhile
