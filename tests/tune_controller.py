"""Tune's controller, before there is any trial."""

from __future__ import annotations

from pathlib import Path

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets what Ray reads, before Ray is imported

# isort: split
from ray.train._internal.storage import StorageContext
from ray.tune.execution.tune_controller import TuneController


def made_controller(folder: Path) -> TuneController:
    return TuneController(storage=StorageContext(str(folder), "states"), reuse_actors=True)
