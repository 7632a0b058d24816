"""Probes: what each asks of the machine that it is called on; none needs Ray."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pyarrow import fs

from gatelab.gates.gate import gates
from gatelab.registry import Registry
from gatelab.sweeps.cluster.provenance import PACKAGES, fingerprint
from gatelab.sweeps.cluster.storage import Storage
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import tasks
from gatelab.training.learners import learners


def versions() -> dict[str, str]:
    """Return the versions of Python and of what computes, searches and records, where it is."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def gpus() -> int:
    """Return how many GPUs torch sees, whatever Ray has hidden from this process."""
    hidden = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        return torch.cuda.device_count()
    finally:
        if hidden is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = hidden


def import_keys(
    gate_keys: Sequence[str],
    task_key: str,
    metric_keys: Sequence[str],
    learner_keys: Sequence[str] = (),
) -> None:
    """Import gates, a task, metrics and learners.

    Raises:
        ValueError: If one is not there.
    """
    for key in gate_keys:
        gates.get(key)
    tasks.get(task_key)
    for key in metric_keys:
        metrics.get(key)
    for key in learner_keys:
        learners.get(key)


def broken_plug_ins() -> list[str]:
    """Return why entry points of installed packages cannot be loaded, a line each."""
    registries: tuple[Registry[Any], ...] = (gates, tasks, metrics, learners)
    return [why for registry in registries for why in registry.broken.values()]


def data(task: str, options: Mapping[str, Any]) -> str:
    """Return the fingerprint of a task's data, which are made or read for it."""
    return fingerprint(tasks.get(task)(**options))


def write(place: str, name: str, text: str) -> list[str]:
    """Write a text into a storage.

    Returns:
        The folders that had to be made on a disk for it, the innermost first.
    """
    storage = Storage(place)
    made: list[str] = []
    if isinstance(storage.files, fs.LocalFileSystem):
        root = Path(storage.root)
        made = [str(folder) for folder in (root, *root.parents) if not folder.exists()]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        path.write_text(text)
        storage.put(path, name)
    return made


def read(place: str, name: str) -> str | None:
    """Return a text from a storage; ``None`` if it is not there."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        return path.read_text() if Storage(place).get(name, path) else None


def clean(place: str, name: str, made: Sequence[str]) -> None:
    """Remove a folder of a storage, and the folders that were made for it, if they are empty."""
    storage = Storage(place)
    with suppress(OSError):
        storage.files.delete_dir(f"{storage.root}/{name}")
    for folder in made:
        with suppress(OSError):
            os.rmdir(folder)
