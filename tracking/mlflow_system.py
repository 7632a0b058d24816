"""System metrics: what a machine does while a sweep runs, seen by MLflow's monitors."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from gatelab.tracking.recorder import Recorder

LOG = logging.getLogger(__name__)
PREFIX = "system/"
"""Of their keys: MLflow's pages show these apart from others."""
MONITOR_SECONDS = 10.0
"""Between two looks, as MLflow has it."""
NEEDED = "psutil"
"""What MLflow's monitors of processors, memory, disk and network need."""


def can_monitor() -> bool:
    """Return whether what MLflow's monitors need is installed here."""
    return find_spec(NEEDED) is not None


class SystemMetrics:
    """Records with a run what this machine does while a block is under way.

    MLflow's own monitor writes to the store by itself, and ends where it is away; here its parts
    only look, and what they see takes the way of all that is recorded.
    """

    def __init__(self, recorder: Recorder, identity: str, seconds: float = MONITOR_SECONDS) -> None:
        """Find what there is to look at.

        Args:
            recorder: Takes what is seen.
            identity: Of the run.
            seconds: Between two looks.
        """
        self.recorder, self.identity, self.seconds = recorder, identity, seconds
        self.monitors = _monitors()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="system-metrics", daemon=True)

    def __enter__(self) -> SystemMetrics:
        """Begin to look."""
        self._seen()  # a processor's share is since the look before
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look a last time, so that a short block has something too."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        over = False
        while not over:
            over = self._over.wait(self.seconds)
            try:
                self.recorder.log_series(self.identity, PREFIX, self._seen())
            except Exception as error:  # a device that is gone is no reason to stop a sweep
                LOG.warning("system metrics end here: %s", error)
                return

    def _seen(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for monitor in self.monitors:
            monitor.collect_metrics()
            found |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return {f"{PREFIX}{key}": float(value) for key, value in found.items()}


def _monitors() -> list[Any]:
    """Return MLflow's monitors of this machine, of GPUs where their library finds any."""
    # Here: they import psutil, which only those have who ask for this.
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

    everywhere: tuple[Any, ...] = (CPUMonitor, DiskMonitor, NetworkMonitor)
    of_gpus: tuple[Any, ...] = (GPUMonitor, ROCMMonitor)
    found = [kind() for kind in everywhere]
    for kind in of_gpus:
        with suppress(Exception):  # there is no such GPU, or nothing that can look at it
            return [*found, kind()]
    return found
