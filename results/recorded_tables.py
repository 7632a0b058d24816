"""Recorded tables: CSV files of runs, read whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pandas as pd

from gatelab.tracking.mlflow_read import read_artifact
from gatelab.tracking.runs import RunRecord


def recorded_table(
    uri: str, run: RunRecord, file: str, columns: Mapping[str, type]
) -> pd.DataFrame | None:
    """Return a table that was recorded with a run, or nothing where none was.

    Args:
        uri: MLflow's tracking URI.
        run: Whose it is.
        file: Its name.
        columns: Some of its columns and what they hold; of those that it lacks nothing is said.

    Raises:
        ValueError: If the file is not what was written, or only a part of it.
        StoreUnavailable: If it cannot be read.
    """
    content = read_artifact(uri, run.run_id, file)
    if content is None:
        return None
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=columns)
    except (ValueError, TypeError, OverflowError):  # pandas' own errors are ValueErrors
        table = pd.DataFrame()
    if "target" not in table or not content.endswith(b"\n"):  # each line has its end
        raise ValueError(f"{file} of the run {run.name!r} ({run.run_id}) is damaged.")
    return table
