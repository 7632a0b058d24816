"""What stops a sweep before its end: each says in one line how it goes on."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from gatelab.sweeps.home.home import Home
from gatelab.tracking.schema import FOLDER

_RESUME = re.compile(r"`gatelab resume (\S+?)( --redeliver)?( --tracking-uri(?: URI)?)?`")
"""The command, as messages advise it."""


class Resumable(Exception):
    """A sweep has stopped that can be resumed."""

    def __init__(self, home: Home, in_shell: str) -> None:
        """Say why and how it goes on, from Python by a call of what is a command in a shell.

        Args:
            home: The sweep's.
            in_shell: Says it to who has called a command.
        """
        super().__init__(_RESUME.sub(partial(_call, home.folder), in_shell))
        self.in_shell = in_shell


class Interrupted(Resumable):
    """A sweep was stopped before its end; it can be resumed."""

    def __init__(self, home: Home) -> None:
        """Say how the sweep of this home goes on."""
        super().__init__(home, f"Stopped. `gatelab resume {home.name}` goes on where it was.")


class Halted(Resumable):
    """A sweep was stopped, since its task's data have changed; it can be resumed."""

    def __init__(self, home: Home, what: str) -> None:
        """Say what has changed, and how the sweep of this home goes on."""
        super().__init__(
            home,
            f"{what} has changed since the sweep began, and nothing more is trained on it: put it "
            f"back as it was, then `gatelab resume {home.name}` goes on.",
        )


class Undelivered(Resumable):
    """The results are complete but spooled, because MLflow does not take them."""


class NoRoom(Resumable):
    """A disk is full; once there is room, the sweep can be resumed."""

    def __init__(self, home: Home, file: str | None) -> None:
        """Say which, and how the sweep goes on."""
        where = file or home.path
        super().__init__(
            home,
            f"There is no room on the disk of {where}: make some, then `gatelab resume "
            f"{home.name}` goes on.",
        )


def _call(folder: Path, command: re.Match[str]) -> str:
    """Return the call that does what a command does of a sweep in a folder."""
    name, again, store = command.groups()
    elsewhere = folder != FOLDER
    words = [
        _quoted(name),
        *([f"folder={_quoted(folder)}"] if elsewhere else []),
        *(["redeliver=True"] if again else []),
        *(["uri=URI"] if store else []),
    ]
    return f"`gatelab.resume({', '.join(words)})`"


def _quoted(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False)  # which Python reads too
