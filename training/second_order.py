"""Second order: whether a step's gradient is right where it goes through gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from gatelab.gates.randomness import drawing_from
from gatelab.training.loop import Loop
from gatelab.training.members import Members, as_double
from gatelab.training.train_rows import TrainRows

DIRECTIONS, LENGTH = 5, 1e-6
"""In so many random ones a gradient is compared with differences over this length to both sides."""
LEAST_ERROR = 1e-4
"""Of a gradient in the best of directions: where a choice flips in between, one may be far off."""
MODEL_PARTS = ("bottom", "gate_input", "mixture.experts", "mixture.gates", "towers")
ADVICE = "`first_order: true` needs no second derivatives"


def second_order_notes(loop: Loop, rows: int) -> list[str]:
    """Return a line if a gate or network cannot be differentiated twice; none if all can.

    A function whose backward is its author's may say so by no error, and the gradient is then
    another. One member's is compared with finite differences, in double precision; where what is
    called does not take that, nothing is known.

    Args:
        loop: Whose learner's objective is looked at; nothing of it is changed.
        rows: Of the train split, so many at most.
    """
    with _doubling():
        try:
            errors = _errors(loop, rows)
        except Exception:  # whatever a stranger's module raises in double precision
            return []
    worst = max(errors, key=lambda part: errors[part], default=None)
    if worst is None or errors[worst] <= LEAST_ERROR:
        return []
    how = "not finite" if errors[worst] == torch.inf else f"off by {errors[worst]:.1g} of itself"
    return [
        f"the gradient through inner steps is {how} for {worst}: an operation of the gate or a "
        f"network cannot be differentiated twice; {ADVICE}"
    ]


@contextmanager
def _doubling() -> Iterator[None]:
    """Compute in double precision by default, as layers do that read integers."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _errors(loop: Loop, rows: int) -> dict[str, float]:
    """Return by part of the model how far its gradient is off, relative to itself.

    Nothing where the loss is no number already.
    """
    members = loop.members.of_one(0).double()
    objective = partial(_objective, loop, members, min(rows, len(loop.train)))
    loop.model.train()
    loss = objective()
    if not loss.isfinite():
        return {}
    (gradient,) = torch.autograd.grad(loss, members.flat)
    return {
        part: _error(members, objective, gradient * _places(members, part)) for part in MODEL_PARTS
    }


def _objective(loop: Loop, members: Members, rows: int) -> Tensor:
    """Return what a step of one member minimises: the first, in the tensors of others."""
    split, lessons = loop.train.split, loop.lessons
    inputs, targets = as_double(split.inputs), as_double(split.targets)
    train = TrainRows(loop.model, split._replace(inputs=inputs, targets=targets))
    each = (loop.passage.keys(), lessons.weights, lessons.own, loop.learner.taught)
    given = train.given(
        torch.arange(rows, device=loop.device)[None],
        *(None if values is None else as_double(values[:1]) for values in each),
    )
    progress = loop.passage.progress() if loop.updates else None
    with drawing_from(0, loop.device):  # what draws from no key
        found: Tensor = train.call(loop.learner.objective, members, given, progress)[0].sum()
    return found


def _error(members: Members, objective: Callable[[], Tensor], gradient: Tensor) -> float:
    """Return how far a gradient is off in the best of some directions, relative to itself there."""
    if not gradient.isfinite().all():
        return torch.inf
    flat, found = members.flat.detach().clone(), [0.0] if not gradient.any() else []
    for number in range(0 if found else DIRECTIONS):
        draw = torch.Generator().manual_seed(number)
        direction = torch.randn(gradient.shape, generator=draw, dtype=flat.dtype).to(flat.device)
        direction *= gradient != 0
        ends = []
        for length in (LENGTH, -LENGTH):
            with torch.no_grad():
                members.flat.copy_(flat + length * direction)
                ends.append(float(objective()))
        slope = float((gradient * direction).sum())
        found.append(abs((ends[0] - ends[1]) / (2 * LENGTH) - slope) / abs(slope))
    return min(found)


def _places(members: Members, part: str) -> Tensor:
    """Return 1 where a row of members holds a part of the model, else 0."""
    inside = [
        torch.full((shape.numel(),), name.startswith(f"{part}."))
        for name, shape in members.shapes.items()
    ]
    return torch.cat(inside).to(members.flat)
