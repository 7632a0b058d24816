"""Drivers on this machine: which sweeps run, how far they are, and how one is stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from operator import getitem
from types import FrameType
from typing import Any

from gatelab.sweeps.home.files import LOCK, STUDIES
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.search.attributes import DONE, TRIALS_IN_TIME
from gatelab.sweeps.spec.searches import Search
from gatelab.sweeps.spec.spec import SpecError
from gatelab.sweeps.spec.spec_file import read_spec_file
from gatelab.tracking.named_store import PLACES, launched_at
from gatelab.tracking.schema import Artifacts

POLL_SECONDS = 0.2
SAID_THROUGH = (1, 2)
"""The descriptors of what a process says."""
UNDER_WAY = "under way"
"""In a driver's line once it has passed all checks and its sweep has a home."""


@dataclass(frozen=True)
class GateProgress:
    """How far a gate is."""

    label: str
    ended: int
    """Trials of its searches."""
    trials: int
    """That it gets."""
    done: bool
    """Whether it has been evaluated, or given up."""
    searches: int
    fruitful: int
    """Searches that leave something to evaluate: one of which no trial finished does not."""

    def __str__(self) -> str:
        """Return it as a few words."""
        nothing = self.done and not self.ended  # was searched
        counted = self.label if nothing else f"{self.label} {self.ended}/{self.trials}"
        return f"{counted}, {self._score()}" if self.done else counted

    def _score(self) -> str:
        if not self.fruitful:
            return "no score"
        return "evaluated in part" if self.fruitful < self.searches else "evaluated"


def interrupt_on_term() -> None:
    """Let SIGTERM do what Ctrl-C does, and Ctrl-C also where it was ignored at the start.

    So does SIGHUP, of a terminal that closes, unless it is ignored, as by nohup. A shell that
    starts a command in the background ignores Ctrl-C for it, and all that it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(
            signal.SIGHUP, partial(_hang_up, [it for it in SAID_THROUGH if os.isatty(it)])
        )


def _hang_up(terminals: Sequence[int], number: int, frame: FrameType | None) -> None:
    """Interrupt; what is said goes nowhere where the terminal is gone, or each line would raise."""
    for output in terminals:
        if not os.isatty(output):  # any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    _interrupt(number, frame)


def _interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)  # Tune's, while it runs
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


def driver(home: Home) -> int | None:
    """Return the process that runs a sweep; ``None`` if none does.

    Raises:
        DamagedHome: If the file that says so cannot be read.
    """
    lock = home.path / LOCK
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        number = lock.read_text()  # written as soon as the lock is held
        return int(number) if number else driver(home)
    except OSError as error:
        raise DamagedHome(home.name, f"{lock}: {error.strerror}.") from error
    return None


def stop_driver(home: Home) -> bool:
    """Stop a sweep's driver as Ctrl-C does, and wait until it has saved all; return if one ran."""
    number = driver(home)
    if number is None:
        return False
    os.kill(number, signal.SIGINT)
    while driver(home) == number:
        time.sleep(POLL_SECONDS)
    return True


def gates_progress(home: Home) -> list[GateProgress]:
    """Return how far every gate of a sweep is.

    Raises:
        DamagedHome: If a file cannot be read that says so.
    """
    from optuna.trial import TrialState  # here: Optuna takes a second to import

    from gatelab.sweeps.search.study_file import DamagedFile, read_studies

    planned = _trials(home)
    found: dict[str, GateProgress] = {}
    try:
        for name, study in read_studies(home.path / STUDIES).items():
            label = Search.of(name).label
            before = found.get(label, GateProgress(label, 0, 0, True, 0, 0))
            ends = [trial.state for trial in study.get_trials(deepcopy=False)]
            trials = min(planned, study.user_attrs.get(TRIALS_IN_TIME, planned))
            sums = before.ended + sum(end.is_finished() for end in ends), before.trials + trials
            done = before.done and DONE in study.user_attrs
            fruitful = before.fruitful + (not ends or TrialState.COMPLETE in ends)
            found[label] = GateProgress(label, *sums, done, before.searches + 1, fruitful)
    except (DamagedFile, OSError) as error:
        raise DamagedHome(home.name, str(error)) from error
    return list(found.values())


def is_whole(home: Home, gates: Sequence[GateProgress]) -> bool:
    """Return whether every search of a sweep is known, and known to be done with.

    Args:
        home: Of the sweep.
        gates: How far they are, as :func:`gates_progress` says it.

    Raises:
        DamagedHome: If the spec cannot be read.
    """
    due, repeats = set(_said(home, "gates")), _said(home, "search", "repeats")
    known = {gate.label for gate in gates if gate.done and gate.searches == repeats}
    return due <= known


def _trials(home: Home) -> int:
    """Return how many trials a search gets by the spec."""
    return int(_said(home, "search", "trials"))


def _said(home: Home, *keys: str) -> Any:
    """Return what the spec says at a path, read alone: a gate may be gone since."""
    path = home.path / Artifacts.SPEC
    try:
        return reduce(getitem, keys, read_spec_file(path))
    except SpecError as error:
        raise DamagedHome(home.name, str(error)) from error
    except (TypeError, LookupError) as error:
        raise DamagedHome(home.name, f"{path} does not say `{'.'.join(keys)}`.") from error


def status(home: Home) -> str:
    """Return whether a sweep is ``running``, ``finished``, ``incomplete`` or ``stopped``."""
    if driver(home) is not None:
        return "running"
    if home.finished:
        return "finished"
    return "incomplete" if home.incomplete else "stopped"


def started(home: Home) -> datetime:
    """Return when a sweep was launched."""
    return datetime.fromtimestamp(launched_at(home.path / PLACES))
