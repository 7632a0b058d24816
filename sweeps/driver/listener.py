"""Who hears of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step


class Listener:
    """Hears of everything that happens, in order, and lets pass what it has no method for."""

    def started(self, job: Job) -> None:
        """Hear that a job was handed out."""

    def progressed(self, job: Job, step: Step) -> None:
        """Hear of more epochs."""

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """Hear how each member of a job ended."""

    def gate_ended(self, label: str, reason: str) -> None:
        """Hear that a gate is done with; ``reason`` says why it has no evaluation, if so."""
