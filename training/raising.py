"""Raising: members of which a pass raises, as some libraries do where a number is NaN."""

from __future__ import annotations

from collections.abc import Callable

from gatelab.foreign import told
from gatelab.training.members import Members


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
