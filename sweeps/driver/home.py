"""A sweep's home: its folder on the driver's disk."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatelab.registry import near_misses
from gatelab.sweeps.cluster.storage import Storage, check_no_key, inside
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.schema import Artifacts


class Home:
    """Where a sweep keeps what a resume needs, and what it knows of places elsewhere."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open a sweep's home.

        Args:
            folder: The folder of all sweeps and of the store beside them.
            name: The sweep's.

        Raises:
            LookupError: If there is no such sweep in the folder.
        """
        self.folder, self.name, self.path = folder, name, folder / "sweeps" / name
        try:
            places = json.loads((self.path / "places.json").read_text())
        except FileNotFoundError as error:
            known = near_misses(name, local_sweeps(folder))
            raise LookupError(f"no sweep {name!r} in {folder}; {known}") from error
        self.uri: str = places["uri"]
        """MLflow's tracking URI."""
        self.storage = Storage(places["storage"])

    @classmethod
    def make(cls, folder: Path, spec: Spec, uri: str, storage: str | None) -> Home:
        """Make the home of a new sweep.

        Args:
            folder: As above.
            spec: The sweep's.
            uri: MLflow's tracking URI.
            storage: The place of :class:`Storage` for all sweeps; by default the home itself.
        """
        path = folder / "sweeps" / spec.name
        place = str(path.resolve()) if storage is None else inside(storage, spec.name)
        check_no_key(place)
        path.mkdir(parents=True)
        for suffix in ("jsonl", "position"):  # of a sweep whose folder was deleted
            (folder / "spool" / f"{spec.name}.{suffix}").unlink(missing_ok=True)
        (path / Artifacts.SPEC).write_text(spec.to_yaml())
        places = path / "places.json"
        places.touch(0o600)  # MLflow's address may have a password in it
        places.write_text(json.dumps({"uri": uri, "storage": place}) + "\n")
        return cls(folder, spec.name)

    @property
    def spec(self) -> Spec:
        """The spec as it was launched."""
        return load_spec(self.path / Artifacts.SPEC)

    @property
    def finished(self) -> bool:
        """Whether the sweep is, and MLflow has all of it."""
        return (self.path / "finished").exists()

    @property
    def incomplete(self) -> bool:
        """Whether the sweep ran to its end, where an evaluation failed."""
        return (self.path / "incomplete").exists()

    def finish(self, *, complete: bool = True) -> None:
        """Note that nothing is left to do, or that only failed evaluations are."""
        (self.path / "incomplete").unlink(missing_ok=True)
        (self.path / ("finished" if complete else "incomplete")).touch()

    @property
    def spool(self) -> Path:
        """The journal of what is recorded; in a folder of its own, which may be another disk."""
        return self.folder / "spool" / f"{self.name}.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out of a sweep that is running; the lock's file names this one."""
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = f"sweep {self.name!r} is running in another process."
                raise SpecError("", "", message) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def local_sweeps(folder: Path) -> list[str]:
    """Return the names of the sweeps in a folder, sorted."""
    sweeps = folder / "sweeps"
    return sorted(path.name for path in sweeps.iterdir()) if sweeps.is_dir() else []
