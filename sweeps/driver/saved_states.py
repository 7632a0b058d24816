"""Where the newest saved state of a job lies that a stop cut short."""

from __future__ import annotations

from collections.abc import Mapping

from gatelab.sweeps.search.study import STATE_ATTRIBUTE, Study
from gatelab.training.jobs import Job


def saved_state(studies: Mapping[str, Study], job: Job) -> str | None:
    """Return the folder of a job's state; ``None`` where it has none."""
    study = studies[job.of_search]
    if job.stage == "search":
        return study.trial_states.get(job.number)
    state: str | None = study.attributes.get(state_attribute(job))
    return state


def state_attribute(job: Job) -> str:
    """Return the attribute of a study that says where an evaluation's newest state lies."""
    return f"{STATE_ATTRIBUTE} {job.name}"
