"""How many models of each gate are worth training at once, tried where a sweep's jobs run.

It imports nothing of the search, as :mod:`.worker`, since it runs in a process of Ray's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.gate import gates
from gatelab.sweeps.worker.unpacked_classes import unpack_classes
from gatelab.tasks.task import Task, tasks
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Setting
from gatelab.training.member import Member
from gatelab.training.train import Training
from gatelab.training.width import Pace, try_widths


@dataclass(frozen=True)
class ToTry:
    """What is tried of a gate."""

    gate: str
    """Its key in the registry."""
    configuration: Configuration
    most: int
    """Models that there is a use for at once."""


def tried_widths(
    setting: Setting, trials: Mapping[str, ToTry]
) -> dict[str, tuple[list[Pace], str]]:
    """Return what was found of each gate, or why nothing was, by its name in the spec."""
    unpack_classes(setting.classes)
    task = tasks.get(setting.task)(**setting.task_options)
    return {label: _tried(setting, task, trial) for label, trial in trials.items()}


def _tried(setting: Setting, task: Task, trial: ToTry) -> tuple[list[Pace], str]:
    device = torch.device("cuda" if setting.gpus else "cpu")
    make = partial(_training, setting, task, trial, device)
    try:
        with foreign():
            return try_widths(make, device, trial.most, _room(setting.gpus)), ""
    except ForeignError as error:  # its trials will tell more of it
        return [], str(error)


def _training(
    setting: Setting, task: Task, trial: ToTry, device: torch.device, members: int
) -> Training:
    of_them = [Member(trial.configuration, seed) for seed in range(members)]
    return Training(task, gates.get(trial.gate), of_them, setting.recipe, device)


def _room(gpus: float) -> float:
    """Return the bytes of memory that a job with such a share of a GPU has."""
    if not gpus:
        return math.inf
    return min(gpus, 1.0) * torch.cuda.get_device_properties(0).total_memory
