"""What stops a sweep before its end: each says in one line how it goes on."""

from __future__ import annotations

from gatelab.sweeps.home.home import Home

STOPPED = "Stopped. `{}` goes on where it was."


class Interrupted(Exception):
    """A sweep was stopped before its end; it can be resumed."""

    def __init__(self, name: str) -> None:
        """Say how the sweep of this name goes on, from Python as from a shell."""
        super().__init__(STOPPED.format(f'gatelab.resume("{name}")'))
        self.in_shell = STOPPED.format(f"gatelab resume {name}")
        """The same for who has called a command."""


class Halted(Exception):
    """A sweep was stopped, since its task's data have changed; it can be resumed."""

    def __init__(self, name: str, what: str) -> None:
        """Say what has changed, and how the sweep of this name goes on."""
        super().__init__(
            f"{what} has changed since the sweep began, and nothing more is trained on it: put it "
            f"back as it was, then `gatelab resume {name}` goes on."
        )


class Undelivered(Exception):
    """The results are complete but spooled, because MLflow does not take them."""


class NoRoom(Exception):
    """A disk is full; once there is room, the sweep can be resumed."""

    def __init__(self, home: Home, file: str | None) -> None:
        """Say which, and how the sweep goes on."""
        where = file or home.path
        super().__init__(
            f"There is no room on the disk of {where}: make some, then `gatelab resume "
            f"{home.name}` goes on."
        )
