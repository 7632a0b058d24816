"""What stops a sweep before its end: each says in one line how it goes on."""

from __future__ import annotations

import re

from gatelab.sweeps.home.home import Home

_RESUME = re.compile(r"`gatelab resume (\S+?)( --redeliver)?( --tracking-uri(?: URI)?)?`")
"""The command, as messages advise it."""


class Resumable(Exception):
    """A sweep has stopped that can be resumed."""

    def __init__(self, in_shell: str) -> None:
        """Say why and how it goes on, from Python by a call of what is a command in a shell.

        Args:
            in_shell: Says it to who has called a command.
        """
        super().__init__(_RESUME.sub(_call, in_shell))
        self.in_shell = in_shell


class Interrupted(Resumable):
    """A sweep was stopped before its end; it can be resumed."""

    def __init__(self, name: str) -> None:
        """Say how the sweep of this name goes on."""
        super().__init__(f"Stopped. `gatelab resume {name}` goes on where it was.")


class Halted(Resumable):
    """A sweep was stopped, since its task's data have changed; it can be resumed."""

    def __init__(self, name: str, what: str) -> None:
        """Say what has changed, and how the sweep of this name goes on."""
        super().__init__(
            f"{what} has changed since the sweep began, and nothing more is trained on it: put it "
            f"back as it was, then `gatelab resume {name}` goes on."
        )


class Undelivered(Resumable):
    """The results are complete but spooled, because MLflow does not take them."""


class NoRoom(Resumable):
    """A disk is full; once there is room, the sweep can be resumed."""

    def __init__(self, home: Home, file: str | None) -> None:
        """Say which, and how the sweep goes on."""
        where = file or home.path
        super().__init__(
            f"There is no room on the disk of {where}: make some, then `gatelab resume "
            f"{home.name}` goes on."
        )


def _call(command: re.Match[str]) -> str:
    """Return the call that does what a command does."""
    name, again, store = command.groups()
    words = [f'"{name}"', *(["redeliver=True"] if again else []), *(["uri=URI"] if store else [])]
    return f"`gatelab.resume({', '.join(words)})`"
