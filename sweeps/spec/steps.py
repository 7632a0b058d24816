"""What a spec says of a training's steps: the optimiser, schedule and clipping, and their rules."""

from __future__ import annotations

from math import inf
from typing import Any

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.spec import Fault, Spec
from gatelab.training.configuration import TARGET_WEIGHTS, Configuration
from gatelab.training.optimizers.catalogue import check_optimizer, optimizer_defaults
from gatelab.training.schedule import SCHEDULES

OF_TRAINING = {"schedule": "constant", "warmup": 0.0, "gradient_clip": None}
"""What a spec's ``training`` may search, with its defaults."""
_LIKE = {**OF_TRAINING, "gradient_clip": 0.0}


def steps_of(spec: Spec) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return what a spec says of steps, by section and key: the values, and others of their type.

    What is as ever in ``training`` is left out: only what differs is a model's own.
    """
    optimizer, training = spec.optimizer, spec.training
    like = optimizer_defaults(optimizer.name)
    said = {name: getattr(training, name) for name in OF_TRAINING}
    weights = {f"{TARGET_WEIGHTS}.{n}": (v, 1.0) for n, v in training.target_weights.items()}
    return {
        "optimizer": {name: (optimizer.hyperparameters[name], like[name]) for name in like},
        "training": {n: (v, _LIKE[n]) for n, v in said.items() if v != OF_TRAINING[n]} | weights,
    }


def step_faults(chosen: Configuration) -> list[Fault]:
    """Return every value of a configuration by which no step can be taken."""
    optimizer = check_optimizer(chosen.optimizer)
    training = _training_faults(**{**OF_TRAINING, **chosen.training})
    return [
        *((f"optimizer.{name}", why) for name, why in optimizer.items()),
        *((f"training.{name}", why) for name, why in training.items()),
        *(
            (
                f"training.{TARGET_WEIGHTS}.{name}",
                f"`0 < weight < inf` must hold, but got ({weight=}).",
            )
            for name, weight in chosen.target_weights.items()
            if not 0 < weight < inf
        ),
    ]


def told_target_weights(spec: Spec) -> tuple[str, ...]:
    """Return a line that says by what targets' losses are minimised, where a spec says it."""
    names = [f"`{name}`" for name in spec.training.target_weights]
    if not names:
        return ()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"models are trained by other weights of {', '.join(names[:3])}{more} than they are scored "
        "by: each `loss` is of the targets' own weights.",
    )


def _training_faults(schedule: str, warmup: float, gradient_clip: float | None) -> dict[str, str]:
    faults = {}
    if schedule not in SCHEDULES:
        near = near_misses(schedule, SCHEDULES)
        faults["schedule"] = f"unknown schedule {written(schedule)}; {near}"
    if not 0 <= warmup < 1:
        faults["warmup"] = f"`0 <= warmup < 1` must hold, but got ({warmup=})."
    if gradient_clip is not None and not 0 < gradient_clip < inf:
        why = f"`0 < gradient_clip < inf` must hold, but got ({gradient_clip=})"
        faults["gradient_clip"] = f"{why}; null clips nothing."
    return faults
