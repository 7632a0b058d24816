"""Recomputing: what is computed again on the way back, when a module has its own tensors again.

Models run as one module that is lent the tensors of each. ``torch.utils.checkpoint`` keeps no
results of a pass, and computes them again for the gradient: by then the tensors are given back.
So it is with parameters that a plain list holds, from the beginning.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from gatelab.training.fusing import Once

COMPUTED_AGAIN = (
    "A network must learn by the parameters that it is called with, but this computes with others: "
    "torch.utils.checkpoint computes again when they are gone (leave it out, or put it around what "
    "has none), and a list keeps those that were first (`nn.ParameterList` does not)."
)


def check_recomputes_nothing(model: nn.Module, once: Once) -> None:
    """Check that the numbers of the module that runs for all make no difference to a pass.

    Args:
        model: That runs, with numbers of its own.
        once: Makes a pass forward and back with the tensors of another.

    Raises:
        ValueError: If they do, or get gradients.
    """
    if _recomputes(model, once):
        raise ValueError(COMPUTED_AGAIN)


def _recomputes(model: nn.Module, once: Once) -> bool:
    try:
        found = once()
        with _other_numbers(model):
            other = once()
        reached = any(parameter.grad is not None for parameter in model.parameters())
        model.zero_grad()
        # What is drawn from no key differs from pass to pass.
        return reached or (not _equal(found, other) and _equal(found, once()))
    except Exception:  # a network that cannot do with so few rows
        return False


def check_raised_in_the_pass(error: Exception) -> None:
    """Check that an error is none of what is computed again.

    Raises:
        ValueError: If it is.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == checkpoint.__file__:
            raise ValueError(COMPUTED_AGAIN) from error


@contextmanager
def _other_numbers(model: nn.Module) -> Iterator[None]:
    """Give a module's parameters other numbers meanwhile, in tensors that nobody else holds."""
    own = [(p, p.data) for p in model.parameters() if p.is_floating_point()]
    for parameter, numbers in own:
        parameter.data = numbers + 1
    try:
        yield
    finally:
        for parameter, numbers in own:
            parameter.data = numbers


def _equal(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)
