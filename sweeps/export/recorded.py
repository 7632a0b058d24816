"""Recorded files of a sweep: read without executing anything, or why one cannot be read."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from gatelab.permissions import READING, closed
from gatelab.tracking.mlflow_read import artifacts_of, read_artifact

SAVED = {"gate", "configuration", "seed", "state"}
"""What the file of a model has."""


def read_file(where: str, uri: str, run_id: str, name: str) -> bytes:
    """Return a file of a run.

    Args:
        where: Of what it is the file, for an error.
        uri: MLflow's tracking URI.
        run_id: The run's.
        name: The file's.

    Raises:
        ValueError: If it is not there, or this user may not read it.
    """
    content = read_artifact(uri, run_id, name)
    if content is None:
        place = artifacts_of(uri, run_id)
        if why := _not_to_be_read(Path(place, name)):
            raise ValueError(f"{where}: {why}")
        raise ValueError(f"{where}: its run carries no {name} (any more), in {place}.")
    return content


def read_saved(where: str, uri: str, run_id: str, gate: str) -> dict[str, Any]:
    """Return what an evaluation saved of a gate's model; arguments as of :func:`read_file`.

    Raises:
        ValueError: If it is not there, cannot be read, or is no such file.
    """
    name = f"{gate}.pt"
    content = read_file(where, uri, run_id, name)
    try:
        return saved_model(BytesIO(content))
    except ValueError as error:
        raise ValueError(f"{where}: {name} of its run {run_id} is damaged.") from error


def saved_model(source: Path | BytesIO) -> dict[str, Any]:
    """Return what an evaluation saved of a model; nothing in it is executed.

    Raises:
        ValueError: If it is damaged, or no such file.
    """
    try:
        saved = _unpacked(source)
    except Exception as error:  # a damaged file raises whatever its damage leads to
        raise ValueError("the file of a model is damaged.") from error
    if not SAVED <= saved.keys():
        raise ValueError(f"the file of a model must have {SAVED}, but has {saved.keys()}.")
    return saved


def _unpacked(source: Path | BytesIO) -> dict[str, Any]:
    with ZipFile(source) as archive:  # torch itself takes bytes that have changed
        if archive.testzip() is not None:
            raise ValueError("a checksum in it is another.")
    if isinstance(source, BytesIO):
        source.seek(0)
    return dict(torch.load(source, map_location="cpu", weights_only=True))


def _not_to_be_read(path: Path) -> str:
    """Return what on the way to a file this user may not pass or read; empty: nothing."""
    folders = [it for it in reversed(path.parents) if os.path.isdir(it)]
    shut = [it for it in folders if not os.access(it, os.X_OK, effective_ids=True)]
    return closed([*shut, path], READING)
