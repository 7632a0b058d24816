"""Raising: members of which a pass raises, as some libraries do where a number is NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from gatelab.foreign import told
from gatelab.training.members import Members

T = TypeVar("T")


def raising(members: Members, alone: Callable[[int], object], what: str) -> dict[int, str]:
    """Return which members make a pass raise that all of them made, and why each has failed.

    None where it raises of all that are sound: then it is no matter of a member.

    Args:
        members: That made the pass.
        alone: Makes it for one of them.
        what: What is no number after it.
    """
    found: dict[int, str] = {}
    every = range(len(members))
    sound = [member for member in every if members.is_finite(member)]
    for member in every:
        try:
            alone(member)
        except Exception as error:  # whatever a stranger's module raises
            found[member] = told(error) if member in sound else f"{what} is nan"
    return {} if len(sound) == len(found) == len(every) else found


def of_each(
    members: Sequence[int], together: Callable[[Sequence[int]], Sequence[T]]
) -> tuple[dict[int, T], dict[int, Exception]]:
    """Return what members give, and what is raised of one alone, where not all raise.

    Args:
        members: Their indices.
        together: Gives something of each of some of them, in their order.

    Raises:
        Exception: What is raised of the first, where it is of every one; what is of the memory.
    """
    try:
        return dict(zip(members, together(members), strict=True)), {}
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception:  # whatever a stranger's code raises
        if len(members) == 1:
            raise
    return _each_alone(members, together)


def _each_alone(
    members: Sequence[int], together: Callable[[Sequence[int]], Sequence[T]]
) -> tuple[dict[int, T], dict[int, Exception]]:
    found: dict[int, T] = {}
    raised: dict[int, Exception] = {}
    for member in members:
        try:
            (found[member],) = together([member])
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raised[member] = error
    if not found:
        raise raised[members[0]]
    return found, raised
