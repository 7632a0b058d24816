"""Provenance: what a result depends on beside its spec."""

from __future__ import annotations

import getpass
import hashlib
import inspect
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from gatelab.sweeps.cluster.sources import OURS
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import Task
from gatelab.tracking.schema import Tags

PACKAGES = ("gatelab", "torch", "optuna", "ray", "mlflow")


def provenance(task: Task, gates: Iterable[type] = ()) -> dict[str, str]:
    """Return versions, commit, machine, data and the code of a task and gates as tags."""
    classes = (type(task), *gates)
    made = {**versions(), **commit(), **machine(), **code(classes), Tags.DATA: fingerprint(task)}
    return {**made, **source()}


def source() -> dict[str, str]:
    """Return who runs this and with what, under MLflow's own names."""
    try:
        user = {Tags.USER: getpass.getuser()}
    except (OSError, KeyError):  # of a container whose user has no name
        user = {}
    return {**user, Tags.SOURCE: f"gatelab {version('gatelab')}", Tags.SOURCE_TYPE: "LOCAL"}


def code(classes: Iterable[type]) -> dict[str, str]:
    """Return fingerprints of the files of the modules that classes are of, except for ours."""
    modules: dict[str, bytes] = {}
    for cls in (cls for cls in classes if not _is_ours(cls)):
        file = _file(cls)
        if file is not None:
            modules[cls.__module__] = file.read_bytes()
        else:  # a notebook's
            modules[cls.__module__] = modules.get(cls.__module__, b"") + _source(cls)
    return {
        f"{Tags.CODE}{module}": hashlib.sha256(content).hexdigest()[:16]
        for module, content in sorted(modules.items())
        if content
    }


def _file(cls: type) -> Path | None:
    """Return the file of a class; ``None`` where there is none, as in a notebook."""
    try:
        file = inspect.getsourcefile(cls)
    except (TypeError, OSError):
        return None
    return Path(file) if file is not None and Path(file).is_file() else None


def _source(cls: type) -> bytes:
    """Return the text of a class's methods, as far as it is known."""
    found = []
    for value in vars(cls).values():
        with suppress(TypeError, OSError):
            found.append(inspect.getsource(value))
    return "".join(found).encode()


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in OURS


def versions() -> dict[str, str]:
    """Return the versions of what computes, searches and records."""
    found = {f"{Tags.VERSION}{name}": version(name) for name in PACKAGES}
    return {**found, f"{Tags.VERSION}python": platform.python_version()}


def commit() -> dict[str, str]:
    """Return the git commit of the working directory, where it is a repository's."""
    git = ["git", "rev-parse", "HEAD"]
    try:
        found = subprocess.run(git, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if found.returncode != 0:
        return {}
    return {Tags.COMMIT: found.stdout.strip(), Tags.GIT_COMMIT: found.stdout.strip()}


def machine() -> dict[str, str]:
    """Return what the driver's machine is."""
    found = {
        f"{Tags.MACHINE}system": f"{platform.system()} {platform.machine()}",
        f"{Tags.MACHINE}cpus": str(os.cpu_count()),
    }
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found[f"{Tags.MACHINE}gpus"] = f"{count} x {torch.cuda.get_device_name(0)}"
    return found


def fingerprint(task: Task) -> str:
    """Return what tells a task's training and validation data from others.

    Of a table that is also what was fitted to it: the same numbers in another unit, and the same
    rows with other names of classes, are the same once they are standardised and counted. The test
    split is left alone until the evaluation: it is made here or nowhere.
    """
    digest = hashlib.sha256()
    for name in ("train", "val"):
        for tensor in task.data(name):
            if tensor is not None:
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().data)
    if isinstance(task, Table):
        told = {key: value for key, value in task.recipe().items() if key != "rules"}
        digest.update(json.dumps(_rounded(told), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _rounded(told: Any) -> Any:
    """Return plain values with numbers as texts, without the digits that machines differ in."""
    if isinstance(told, Mapping):
        return {str(key): _rounded(value) for key, value in told.items()}
    if isinstance(told, Iterable) and not isinstance(told, str):
        return [_rounded(value) for value in told]
    return f"{told:.10g}" if isinstance(told, float) else str(told)
