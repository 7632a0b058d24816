"""Classes that a driver has handed over by value, in a worker: it knows nothing of a spec."""

from __future__ import annotations

import pickle
from typing import Any

from gatelab.gates.gate import Gate, gates
from gatelab.registry import Registry
from gatelab.tasks.loss import Loss, losses
from gatelab.tasks.metric import Metric, metrics
from gatelab.tasks.task import Task, tasks
from gatelab.training.learners import Learner, learners

KINDS: dict[str, tuple[Registry[Any], type]] = {
    "gate": (gates, Gate),
    "task": (tasks, Task),
    "learner": (learners, Learner),
    "metric": (metrics, Metric),
    "loss": (losses, Loss),
}
"""The registries, each with the class of what it holds."""


def unpack_classes(packed: bytes) -> None:
    """Enter the classes of :func:`.packed_classes.pack_classes` into this process's registries."""
    for kind, name, cls in pickle.loads(packed) if packed else ():
        registry, base = KINDS[kind]
        registry.register(name, base)(cls)
        registry.handed.add(name)
