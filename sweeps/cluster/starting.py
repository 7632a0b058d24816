"""Starting Ray on this machine, beside which a driver imports what it needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import TypeVar

from gatelab.sweeps.cluster.joining import join

T = TypeVar("T")

IMPORTED_FIRST = ("click", "ray._common.usage.usage_lib", "ray.dashboard.optional_deps")
"""What Ray's start imports, and Tune or MLflow too: two threads that import modules which import
each other can get halves of them."""


def start_ray(meanwhile: Callable[[], T]) -> T:
    """Start Ray on this machine, where sweeps run here, and import other modules meanwhile.

    The imports are the thread's part: Ray's processes end with the thread that has started them.

    Args:
        meanwhile: Imports them, which may take seconds.

    Returns:
        What that returns.

    Raises:
        ClusterError: If Ray cannot be started.
    """
    for module in IMPORTED_FIRST:
        with suppress(ImportError):  # Ray starts without its dashboard's
            import_module(module)
    with ThreadPoolExecutor(1, thread_name_prefix="importing") as beside:
        imported = beside.submit(meanwhile)
        if not os.environ.get("RAY_ADDRESS"):
            join()
    return imported.result()
