"""Checks of what follows the course of a training: it ends where the gate says."""

from __future__ import annotations

import torch
from torch import Tensor

from gatelab.conformance import fail
from gatelab.gates.check.subject import Subject, route, rows
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.randomness import drawing_from
from gatelab.gates.returned import next_values

LATER = (0.01, 0.5, 1.0)
"""Shares of what is left of a training after a schedule's end."""


def check_schedule_ends_where_it_says(subject: Subject) -> None:
    """After ``schedule_end`` what ``update`` gives does not follow progress any more."""
    gate, end = subject.make(), float(subject.cls.schedule_end(subject.defaults()))
    if not 0 <= end <= 1:
        fail(f"schedule_end returns {end:g}", "a number of steps or epochs: it is a share, 0 to 1")
    routing = route(gate, rows())
    first, *others = (_updated(gate, routing, end + share * (1 - end)) for share in LATER)
    for name, value in first.items():
        if not all(torch.equal(value, other[name]) for other in others):
            fail(
                f"{name!r} still follows progress after {end:g} of a training, schedule_end's word",
                "an `update` with a schedule, without a `schedule_end` that says where it ends: "
                "losses before it would be taken for what the gate ends as",
            )


def _updated(gate: Gate, routing: Routing, progress: float) -> dict[str, Tensor]:
    with torch.no_grad(), drawing_from(0):
        found = next_values(gate, routing, torch.tensor(progress))
    return {name: value.nan_to_num() for name, value in found.items()}


CHECKS = (check_schedule_ends_where_it_says,)
"""In the order in which a mistake is best mended."""
