"""Idle workers: those that wait for the others of a round keep their process for a while."""

from __future__ import annotations

import time

from ray import tune
from ray.tune.execution.tune_controller import TuneController

KEPT_SECONDS = 60.0
"""How long a worker waits for its next job. A new one takes some seconds of computing to start, and
its GPU's context some more; for as long as that it may hold what others could use meanwhile."""
ANY = 1_000_000
"""More workers than there are."""


class IdleWorkers:
    """Lets Tune keep workers that have no job, which it ends at once where none waits for them.

    At a round's rung it would end all but one, and start as many anew a moment later.
    """

    def __init__(self) -> None:
        """Begin before there is a worker."""
        self.since: float | None = None
        """When the oldest of the idle workers became idle."""
        self.kept = False

    def watch(self, controller: TuneController, resources: tune.PlacementGroupFactory) -> None:
        """Keep idle workers, or no longer: to be called at every event of Tune's loop.

        Args:
            controller: Has the workers.
            resources: What each of them takes.
        """
        cache = controller._actor_cache
        if not cache.has_cached_object(resources):
            self.since = None
        elif self.since is None:
            self.since = time.monotonic()
        keeps = self.since is None or time.monotonic() - self.since < KEPT_SECONDS
        if keeps and not self.kept:
            cache.increase_max(resources, ANY)
        elif self.kept and not keeps:
            cache.decrease_max(resources, ANY)
        self.kept = keeps
