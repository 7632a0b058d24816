"""MLflow's client: opened once a process, and asked a page at a time."""

from __future__ import annotations

import fcntl
import functools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from gatelab.tracking.mlflow_check import alone_in_postgresql, check_store, completing
from gatelab.tracking.mlflow_errors import store_errors
from gatelab.tracking.mlflow_moved import follow_artifacts
from gatelab.tracking.mlflow_stores import RegistryStore, TrackingStore
from gatelab.tracking.mlflow_tables import make_tables
from gatelab.tracking.sqlite import sqlite_path

PAGE = 500
"""Runs that are asked for at once."""


def open_client(uri: str) -> MlflowClient:
    """Return a client; opening a database takes a second, so one process does it once.

    A SQLite store whose file is another one since is opened anew.

    Raises:
        StoreUnavailable: If the store cannot be used.
    """
    client, opened = _opened(uri)
    if opened == file_id(uri):
        return client
    _opened.cache_clear()
    for store in (TrackingStore, RegistryStore):  # a new one of theirs would write into the file
        store._get_or_create_engine(uri).dispose()
    return _opened(uri)[0]


def file_id(uri: str) -> tuple[int, int] | None:
    """Return what tells a SQLite store's file from any other; ``None`` where there is none."""
    path = sqlite_path(uri)
    with suppress(OSError):
        if path is not None:
            found = path.stat()
            return found.st_dev, found.st_ino
    return None


@functools.lru_cache(maxsize=8)
def _opened(uri: str) -> tuple[MlflowClient, tuple[int, int] | None]:
    path = sqlite_path(uri)
    with _alone(path), alone_in_postgresql(uri):
        wants_tables = check_store(uri)
        with store_errors(uri):
            if path is not None and wants_tables:
                make_tables(path)
            if path is not None:
                follow_artifacts(path)
            with completing(uri) if wants_tables else nullcontext():
                return MlflowClient(uri), file_id(uri)


@contextmanager
def _alone(path: Path | None) -> Iterator[None]:
    """Let one process at a time open a SQLite store: two that make its tables at once spoil it."""
    with ExitStack() as stack:
        if path is not None:
            with suppress(OSError):  # a folder that cannot be written gets no tables either
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
                stack.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def search(client: MlflowClient, experiments: Sequence[str], query: str) -> Iterator[Run]:
    """Yield the runs of experiments that a query finds, a page at a time."""
    token = None
    while True:
        page = client.search_runs(
            list(experiments), query, ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def active_experiments(client: MlflowClient) -> Sequence[str]:
    """Return the ids of all experiments that were not deleted."""
    found, token = [], None
    while True:
        page = client.search_experiments(page_token=token)
        found += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return found


def metric_key(name: str) -> str:
    """Return a key of the characters that MLflow allows."""
    return re.sub(r"[^\w\-. :/]", "_", name)
