"""The optimisers by name, and the hyperparameters that each takes in a spec."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from gatelab.training.optimizers.adam import Adam, AdamW
from gatelab.training.optimizers.rule import Rule
from gatelab.training.optimizers.sgd import Sgd

LEAST_RATE = 1e-37
"""Of learning rates: a smaller one is 0 in single precision."""
OPTIMIZERS: dict[str, type[Rule]] = {"adam": Adam, "adamw": AdamW, "sgd": Sgd}


def optimizer_defaults(name: str) -> dict[str, bool | float]:
    """Return the default of every hyperparameter of an optimiser."""
    return {"learning_rate": 1e-3, "weight_decay": 0.0, **OPTIMIZERS[name].hyperparameters}


def check_optimizer(options: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with an optimiser's options, by the hyperparameter's name."""
    ranges = {
        "learning_rate": (
            LEAST_RATE <= options["learning_rate"] < inf,
            f"{LEAST_RATE} <= learning_rate < inf",
        ),
        "weight_decay": (0 <= options["weight_decay"] < inf, "0 <= weight_decay < inf"),
    }
    faults = {
        name: f"`{rule}` must hold, but got ({name}={options[name]!r})."
        for name, (holds, rule) in ranges.items()
        if not holds
    }
    return faults | OPTIMIZERS[options["name"]].faults(options)
