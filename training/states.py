"""States: what jobs go on from, in a file by the jobs' keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor

STATE_FILE = "state.pt"
States = dict[str, dict[str, Any]]
"""What jobs go on from, by their keys."""
WHILE_TRAINING = {"tensors", "optimizer", "learner"}
"""The keys that a member's state has while it trains, and not once it has ended."""


QUOTED = 80
"""Characters of a library's message that are quoted."""


class StateError(ValueError):
    """A state from which a job cannot go on; its text says why."""


def read_state(folder: Path) -> States:
    """Return the states by job that :meth:`Work.save` wrote; nothing in them is executed.

    Raises:
        StateError: If the file is gone, cannot be read, or has no such states in it.
    """
    path = folder / STATE_FILE
    try:
        with ZipFile(path) as archive:  # torch itself takes bytes that have changed
            damaged = archive.testzip() is not None
        states = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise StateError("is gone") from None
    except Exception as error:  # the disk, the archive and what lies in it have errors of their own
        raise StateError(f"cannot be read ({_short(error)})") from error
    if damaged:
        raise StateError("is damaged")
    if not isinstance(states, dict) or not all(_has_epoch(state) for state in states.values()):
        raise StateError("is of another form")
    return states


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())[:QUOTED]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _has_epoch(state: Any) -> bool:
    return isinstance(state, dict) and isinstance(state.get("epoch"), int)


def check_form(found: Any, own: Any, where: str = "") -> None:
    """Check that a state has the form of a beginner's, so that every part of it can be loaded.

    Args:
        found: A state, or a part of one.
        own: The same part of a job that has not begun. What is ``None`` or empty there may have
            become anything; a number stays one, and a tensor keeps its shape.
        where: The part, as is said of one that does not fit.

    Raises:
        StateError: If it has another form.
    """
    if isinstance(own, Mapping):
        _check_keys(found, own, where)
        for key in found if own else ():
            check_form(found[key], own[key], f"{where}.{key}".lstrip("."))
    elif isinstance(own, list):
        if not isinstance(found, list) or len(found) != len(own):
            raise _other(where)
        for index, (theirs, ours) in enumerate(zip(found, own, strict=True)):
            check_form(theirs, ours, f"{where}[{index}]")
    elif not _same_kind(found, own):
        raise _other(where)


def _check_keys(found: Any, own: Mapping[str, Any], where: str) -> None:
    if not isinstance(found, Mapping):
        raise _other(where)
    allowed = {*own}, {*own} - WHILE_TRAINING
    if own and {*found} not in allowed:
        lacking = sorted(map(str, {*own} ^ {*found}))
        raise _other(where or lacking[0])


def _same_kind(found: Any, own: Any) -> bool:
    """Return whether a part that is no container is what it is at the beginning."""
    if isinstance(own, Tensor):
        return isinstance(found, Tensor) and (found.shape, found.dtype) == (own.shape, own.dtype)
    if own is None:
        return isinstance(found, None | bool | int | float | str | Tensor)
    return isinstance(found, str if isinstance(own, str) else bool | int | float)


def _other(where: str) -> StateError:
    return StateError(f"is of another form ({where})" if where else "is of another form")
