"""Tasks that a worker keeps, so that their data are made once for all its jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gatelab.sweeps.worker.same_data import make_unchanged
from gatelab.tasks.task import Task

KEPT_BYTES = 2**28
"""Of the data of all that are kept beside the newest: several splits of a small task."""


class KeptTasks:
    """The tasks of a worker's last jobs: evaluations take turns between split seeds."""

    def __init__(self, kept_bytes: int = KEPT_BYTES, data: str = "") -> None:
        """Keep the newest task, and those before it while their data take so much together.

        Args:
            kept_bytes: How much that is.
            data: The :func:`.data_id` that a task must have; empty: any.
        """
        self.kept_bytes, self.data = kept_bytes, data
        self._kept: dict[str, Task] = {}
        """The newest last."""

    def get(self, name: str, options: Mapping[str, Any], split_seed: int | None = None) -> Task:
        """Return a task with options, made where none is kept; on another split if one is named.

        Raises:
            ChangedData: If it has other data than it must.
        """
        own = split_seed in (None, options.get("split_seed", 0))
        options = {**options, **({} if split_seed is None else {"split_seed": split_seed})}
        key = json.dumps([name, options], sort_keys=True)
        task = self._kept.pop(key, None)
        if task is None:  # not `or`: a task may have a length, which may be 0
            task = make_unchanged(name, options, self.data, own_split=own)
        self._let_go()
        self._kept[key] = task
        return task

    def _let_go(self) -> None:
        """Forget those asked for longest ago."""
        room = self.kept_bytes
        for key, task in reversed(list(self._kept.items())):
            room -= task.made_bytes()
            if room < 0:
                del self._kept[key]
