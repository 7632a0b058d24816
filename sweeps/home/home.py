"""A sweep's home: its folder on the driver's disk."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from gatelab.durable import write_settled
from gatelab.permissions import READING, WRITING, closed
from gatelab.registry import near_misses
from gatelab.sweeps.cluster.storage import Storage, outside
from gatelab.sweeps.home.files import (
    BEFORE,
    FINISHED,
    INCOMPLETE,
    LOCK,
    closed_home,
    fault_of_home,
    fault_within,
    is_half_made,
)
from gatelab.sweeps.home.local import local_sweeps
from gatelab.sweeps.home.locks import lock_file
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.named_store import PLACES
from gatelab.tracking.schema import Artifacts
from gatelab.tracking.sqlite import absolute, default_uri

_NO_PLACES = "does not name the places of its record and of its states: put back what was there."


class DamagedHome(LookupError):
    """A sweep's home cannot be used; its one line says why."""

    def __init__(self, name: str, why: str) -> None:
        """Say what is wrong with the home of a sweep."""
        super().__init__(f"the home of sweep {name!r} is damaged: {why}")
        self.why = why


class ClosedHome(DamagedHome):
    """A sweep's home that this user may not use; its one line says who may."""

    def __init__(self, name: str, why: str) -> None:
        """Say what this user may not do with the home of a sweep."""
        super().__init__(name, why)
        self.args = (f"the home of sweep {name!r} is not yours to use so: {why}",)


class Home:
    """Where a sweep keeps what a resume needs, and what it knows of places elsewhere."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open a sweep's home.

        Args:
            folder: The folder of all sweeps and of the store beside them.
            name: The sweep's.

        Raises:
            ClosedHome: If this user may not read it.
            LookupError: If there is no such sweep in the folder, or its home is damaged.
        """
        self.folder, self.name, self.path = folder, name, folder / "sweeps" / name
        if why := closed([folder, folder / "sweeps"], READING):
            raise ClosedHome(name, why)
        if name != os.path.basename(name) or not name.strip(".") or not os.path.lexists(self.path):
            known = near_misses(name, local_sweeps(folder))
            raise LookupError(f"no sweep {name!r} in {folder}; {known}")
        if why := closed_home(self.path, self.spool, READING):
            raise ClosedHome(name, why)
        if fault := fault_of_home(self.path, self.spool):
            raise DamagedHome(name, fault)
        places = self._places()
        self.uri: str = places["uri"] or default_uri(folder)
        """MLflow's tracking URI."""
        self.id: str = places["id"]
        """Tells it from a home of the same name elsewhere."""
        try:
            self.storage = Storage(places["storage"] or self.path.resolve())
        except (ValueError, OSError) as error:
            raise DamagedHome(name, f"{self.path / PLACES}: {error}") from error

    def _places(self) -> dict[str, Any]:
        path = self.path / PLACES
        try:
            found = json.loads(path.read_bytes())
            named = [found[key] for key in ("uri", "storage", "id")]
        except FileNotFoundError as error:
            instead = "; a launch under its name takes its place" if is_half_made(self.path) else ""
            raise DamagedHome(self.name, f"{path} is missing{instead}.") from error
        except OSError as error:
            raise DamagedHome(self.name, f"{path}: {error.strerror}.") from error
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise DamagedHome(self.name, f"{path} {_NO_PLACES}") from error
        if not all(isinstance(one, str | None) for one in named) or not found["id"]:
            raise DamagedHome(self.name, f"{path} {_NO_PLACES}")
        return dict(found)

    @property
    def named_places(self) -> tuple[str | None, str | None]:
        """MLflow's tracking URI and the place of all sweeps' storage, where they were named."""
        places = self._places()
        storage = places["storage"]
        return places["uri"], storage and outside(storage)

    @property
    def before(self) -> list[str]:
        """The sweeps that this one goes on from, the first first; empty where there is none.

        Raises:
            DamagedHome: If the file that says so does not.
        """
        path = self.path / BEFORE
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            raise DamagedHome(self.name, f"{path} cannot be read.") from error
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise DamagedHome(self.name, f"{path} does not name sweeps.")
        return found

    def move_record(self, uri: str) -> None:
        """Keep the record in another store from now on."""
        self.uri = absolute(uri)
        text = json.dumps({**self._places(), "uri": self.uri}) + "\n"
        write_settled(self.path / PLACES, text, 0o600)

    @property
    def spec(self) -> Spec:
        """The spec, as it was launched unless it was edited, a frame's file where it is now.

        Raises:
            DamagedHome: If there is none.
            SpecError: If it can no longer be run.
        """
        from gatelab.sweeps.spec.reading import load_spec  # here: torch takes seconds to import

        path = self.path / Artifacts.SPEC
        if not path.is_file() or not path.stat().st_size:
            raise DamagedHome(self.name, f"{path} is missing or empty.")
        return load_spec(path, folder=self.folder)

    @property
    def finished(self) -> bool:
        """Whether the sweep is, and MLflow has all of it."""
        return (self.path / FINISHED).exists()

    @property
    def incomplete(self) -> bool:
        """Whether the sweep ran to its end, where an evaluation failed."""
        return (self.path / INCOMPLETE).exists()

    def finish(self, *, complete: bool = True) -> None:
        """Note that nothing is left to do, or that only failed evaluations are."""
        (self.path / INCOMPLETE).unlink(missing_ok=True)
        (self.path / (FINISHED if complete else INCOMPLETE)).touch()

    def reopen(self) -> None:
        """Note that MLflow may not have all of it."""
        (self.path / FINISHED).unlink(missing_ok=True)

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """Keep a sweep from being run while it is only read; nothing of it is written.

        Raises:
            SpecError: If it is running.
        """
        with ExitStack() as stack:
            with suppress(FileNotFoundError):  # no driver has ever had it
                file = stack.enter_context((self.path / LOCK).open())
                if not lock_file(file.fileno(), fcntl.LOCK_SH):
                    raise _running(self.name)
            yield

    @property
    def spool(self) -> Path:
        """The journal of what is recorded; in a folder of its own, which may be another disk."""
        return self.folder / "spool" / f"{self.name}.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out of a sweep that is running; the lock's file names this one.

        Raises:
            ClosedHome: If this user may not write something in it.
            DamagedHome: If something in it cannot be used, which a run would meet at some time.
            SpecError: If the sweep is running.
        """
        lock = self.path / LOCK
        if why := closed_home(self.path, self.spool, WRITING):
            raise ClosedHome(self.name, why)
        try:
            file = lock.open("a+")
        except OSError as error:
            raise DamagedHome(self.name, f"{lock}: {error.strerror}.") from error
        with file:
            if not lock_file(file.fileno()):
                raise _running(self.name)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            if fault := fault_within(self.path):
                raise DamagedHome(self.name, fault)
            yield


def _running(name: str) -> SpecError:
    message = (
        f"sweep {name!r} is running in another process: `gatelab status {name}` shows how far it "
        "is."
    )
    return SpecError("", "", message)
