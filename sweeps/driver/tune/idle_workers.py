"""Idle workers: those that wait for the others of a round keep their process for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from ray import tune
from ray.tune.execution.tune_controller import TuneController

KEPT_SECONDS = 60.0
"""How long a worker waits for its next job: some times what a new one takes to start, and not for
ever, since it holds what others could use."""
ANY = 1_000_000
"""More workers than there are."""


class IdleWorkers:
    """Lets Tune keep workers that have no job, which it ends at once where none waits for them.

    At a round's rung it would end all but one, and start as many anew a moment later.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin before there is a worker.

        Args:
            clock: Tells seconds, from any moment on.
        """
        self.clock = clock
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
            self.since = self.clock()
        keeps = self.since is None or self.clock() - self.since < KEPT_SECONDS
        if keeps and not self.kept:
            cache.increase_max(resources, ANY)
        elif self.kept and not keeps:
            cache.decrease_max(resources, ANY)
        self.kept = keeps
