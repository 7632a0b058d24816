"""Idle slots: where fewer jobs are made than could run, since several models train in each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.spec.rounds import rounds_of
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task

WORTH_SAYING = 4
"""Slots that stay idle in the fullest moment of a search; of fewer nothing is said."""
IDLE_SLOTS = (
    "about {now} jobs of up to {members} models each are all that run at once, and there are "
    "{slots} slots: `resources: {{members: {fewer}}}` makes {then} jobs"
)


def told_idle_slots(spec: Spec, task: Task, job: Needs) -> list[str]:
    """Return a line where slots stay idle that a spec could use, if it leaves open how many train.

    Args:
        spec: What is to run.
        task: Its task.
        job: What each job occupies. One on a GPU says nothing: how many are tried there.
    """
    from gatelab.sweeps.cluster.slots import slots  # here: Ray takes a second to import

    if job.gpus or spec.resources.members is not None:
        return []
    rounds = rounds_of(spec, {label: space(spec, label, task) for label in spec.gates})
    sizes = [cut.size for cut in rounds.values()] * spec.search.repeats
    return idle_slots(sizes, spec.search.seeds, job.members, slots(job.cpus, 0))


def idle_slots(sizes: Sequence[int], seeds: int, members: int, slots: int) -> list[str]:
    """Return the line for searches with rounds of so many trials.

    Args:
        sizes: The trials of a round of each search.
        seeds: The models of a trial, which always train together.
        members: Models that train together at most.
        slots: Jobs that can run at once.
    """
    jobs = {m: _jobs(sizes, seeds, m) for m in range(members, 0, -1)}
    now = jobs[members]
    fewer = next((m for m, made in jobs.items() if made >= min(slots, jobs[1])), 1)
    if slots - now < WORTH_SAYING or jobs[fewer] == now:
        return []
    values = {"now": now, "members": members, "slots": slots, "fewer": fewer, "then": jobs[fewer]}
    return [IDLE_SLOTS.format(**values)]


def _jobs(sizes: Sequence[int], seeds: int, members: int) -> int:
    """Return how many jobs the rounds' trials are: of unlike structures there may be more."""
    return sum(math.ceil(size / max(1, members // seeds)) for size in sizes)
