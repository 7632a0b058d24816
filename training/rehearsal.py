"""A rehearsal: passes before training, which find what cannot be fused, or cannot run at all."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from gatelab.foreign import text_of
from gatelab.gates.randomness import drawing_from
from gatelab.gates.stack import Stack
from gatelab.rules import as_line
from gatelab.training.members import Members
from gatelab.training.precision import tensor_cores

ROWS = 16
"""In which fused members are compared with each alone."""
REASON = 150
"""Characters of a library's message that a note quotes."""
COST = "members are called one by one, so that an evaluation takes as long as its seeds in turn"
"""What it costs not to fuse members."""
Once = Callable[[], list[Tensor]]


def rehearse(members: Members, passes: Mapping[str, Once], small: Sequence[Once]) -> list[str]:
    """Find out what cannot be fused, and let it be called one by one from then on.

    A pass that raises while members are fused is made again member by member, then with the stack
    of gates, experts or towers one by one in which it raised. Where fused members give other
    numbers than each alone they are not fused either.

    Args:
        members: What is to be trained; none is changed.
        passes: Each makes a pass over all members, and returns what came of it: one of every size
            of a batch that there will be, by what such a batch is called.
        small: Others over a few rows, in which members are compared with each alone. Of a network
            that cannot do with so few nothing is compared.

    Returns:
        A line for everything that is not fused: what, why, and what it costs.

    Raises:
        Exception: Whatever a pass raises, with all called one by one; if the first did not, a note
            says which has.
    """
    with _leaving_no_trace(members):
        notes: list[str] = []
        for number, (batch, once) in enumerate(passes.items()):
            notes += _settle(members, once, f"in {batch}" if number else "")
        return notes + [note for once in small for note in _compare(members, once)]


def _settle(members: Members, once: Once, where: str) -> Iterator[str]:
    while True:
        try:
            once()
            return
        except Exception as error:  # whatever a stranger's module raises
            note = _give_way(members, error)
            if note is None:
                if where:
                    error.add_note(where)
                raise
        yield note


def _give_way(members: Members, error: Exception) -> str | None:
    """Let go of the outermost call that is fused; return a note, or None where there is none."""
    where, reason = _layer(members, error), _reason(error)
    if not members.one_by_one:
        members.fused = False
        return f"{where} cannot be fused ({reason}): {COST}"
    stack = next((s for s in reversed(_stacks(error)) if s.fused), None)
    if stack is None:
        return None
    stack.fused = False
    what = f"{where} cannot be fused ({reason})"
    if stack.size == 1:
        return f"{what}: it is called by itself, which takes no longer"
    return (
        f"{what}: its {stack.size} modules are called one by one, which takes up to {stack.size} "
        "times as long"
    )


def _compare(members: Members, once: Once) -> Iterator[str]:
    """Compare fused members with each alone, where nothing is random."""
    if members.one_by_one:
        return
    try:
        with tensor_cores(False):  # what they leave of float32 differs more than two ways may
            fused = once()
            members.fused = False
            alone = once()
            differ = not _near(fused, alone) and _near(alone, once())
    except Exception:  # it takes no batch of this size, which is none that there will be
        differ = False
    members.fused = not differ
    if not differ:
        return
    yield (
        "the model gives other numbers fused than alone, as with torch.autocast in a forward: "
        f"{COST}"
    )


def _layer(members: Members, error: Exception) -> str:
    """Return the innermost module of the model in which an error was raised."""
    names = {id(module): name for name, module in members.skeleton.named_modules()}
    found = [m for m in _selves(error) if names.get(id(m)) and not isinstance(m, Stack)]
    if not found:
        return "the model"
    name = names[id(found[-1])].replace(".each", "").removeprefix("mixture.")
    return f"{name} ({type(found[-1]).__name__})"


def _stacks(error: Exception) -> list[Stack]:
    return [module for module in _selves(error) if isinstance(module, Stack)]


def _selves(error: Exception) -> list[object]:
    """Return whose methods were under way, the innermost last."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [frame.f_locals["self"] for frame in frames if "self" in frame.f_locals]


def _reason(error: Exception) -> str:
    return as_line(text_of(error), REASON) or type(error).__name__


def _near(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Return whether results are equal within what the order of additions changes."""
    return all(
        torch.allclose(a.double(), b.double(), rtol=0, atol=_tolerance(b), equal_nan=True)
        for a, b in zip(some, others, strict=True)
    )


def _tolerance(values: Tensor) -> float:
    if not values.is_floating_point() or not values.numel():
        return 0.0
    largest = float(values.nan_to_num(0.0, 0.0, 0.0).abs().max())
    return math.sqrt(torch.finfo(values.dtype).eps) / 4 * max(largest, 1e-3)


@contextmanager
def _leaving_no_trace(members: Members) -> Iterator[None]:
    """Put torch's random state and the buffers back afterwards, and clear the gradients."""
    buffers = {name: tensor.clone() for name, tensor in members.buffers.items()}
    with drawing_from(0, members.device):
        try:
            yield
        finally:
            members.buffers = buffers  # a network may change its own in place
            members.clear_gradients()
