"""The deliverer: one writer, in batches, that loses nothing."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from gatelab.tracking.collecting import what_is_there_left_alone
from gatelab.tracking.journal import Journal
from gatelab.tracking.known import Known
from gatelab.tracking.lines import Entry
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_errors import reason, store_errors
from gatelab.tracking.mlflow_rejected import Rejected, UnknownRun, permitted, rejected
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.records import coalesce, valid_records, write_record
from gatelab.tracking.store_errors import StoreRefuses, StoreUnavailable

LOG = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before an unreachable store is tried again."""
BATCH_SECONDS = 5.0
"""How long records gather before they are delivered: one request then carries many of them."""
RECORDS_AT_ONCE = 2000
"""How many are read at once: after a long absence of the store they would not fit in memory."""


@dataclass(frozen=True)
class Addressee:
    """Where the records of a sweep go."""

    uri: str
    """MLflow's tracking URI."""
    experiment: str
    """MLflow's experiment."""
    sweep: str
    """Whose runs these are."""
    artifacts: str | Path | None
    """The folder for artifacts, for a store without a server."""
    home: Path
    """The folder from which files of relative paths come."""


class Deliverer:
    """Delivers a journal to MLflow from a thread of its own, for as long as that takes.

    Delivered twice it is there once: a run follows from its identity, and a metric's row from key,
    step and time.
    """

    def __init__(self, journal: Journal, known: Known, to: Addressee) -> None:
        """Start to deliver what lies in a journal.

        Args:
            journal: Its records.
            known: What they say, and all that follow.
            to: Where they go.
        """
        self._journal, self._known, self._to = journal, known, to
        self._store: Store | None = None
        self._closing, self._hurry, self._news, self._again = (threading.Event() for _ in range(4))
        self._news.set()
        self._furthest = (journal.position, 0)
        """The position up to which all is delivered, and how many records after it were once."""
        self.problem = ""
        """Why the store takes nothing, while it does not."""
        self._tries, self._refused_in = 0, 0
        """How many deliveries were begun, and which of them the store refused; 0: the last not."""
        self._thread = threading.Thread(target=self._deliver_all, name="deliverer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have delivered what was appended since."""
        self._news.set()

    @property
    def pending(self) -> int:
        """How many bytes of the journal are not delivered."""
        return self._journal.end - self._journal.position

    @property
    def refused(self) -> bool:
        """Whether it answers, but takes nothing of this sweep until somebody mends that."""
        return self._refused_in > 0

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until everything is delivered, or nothing has been for so long; return whether.

        A store that has refused is asked anew: it may have been mended.
        """
        before, asked = (-1, 0), self._tries
        self._again.set()
        while self.pending and self._refused_in <= asked and self._furthest > before:
            before = self._furthest
            self._wait(timeout, asked)
        return not self.pending

    def _wait(self, timeout: float, asked: int = 0) -> None:
        """Wait until everything is delivered, or a try after so many is refused."""
        deadline = time.monotonic() + timeout
        self._hurry.set()
        self._news.set()
        while self.pending and time.monotonic() < deadline and self._thread.is_alive():
            if self._refused_in > asked:
                break
            time.sleep(0.02)
        self._hurry.clear()

    def close(self, timeout: float = 60.0) -> bool:
        """Deliver what can be, and stop; return whether everything arrived."""
        self._wait(timeout)
        arrived = not self.pending
        self._closing.set()
        for event in (self._hurry, self._news, self._again):
            event.set()
        self._thread.join(5.0)
        self._journal.retry()
        if self._journal.waits and not arrived:
            LOG.warning("%s: what waited in memory is lost: its disk is full", self._journal.path)
        self._journal.close()
        return arrived

    def _deliver_all(self) -> None:
        wait = FIRST_WAIT
        while not self._closing.is_set():
            self._news.wait()
            if self._store is not None:  # else the sweep is to be seen in MLflow soon
                self._hurry.wait(BATCH_SECONDS)
            self._news.clear()
            self._tries += 1
            try:
                with store_errors(self._to.uri), permitted(self._to.uri, self._to.experiment):
                    self._deliver()
                self.problem, self._refused_in, wait = "", 0, FIRST_WAIT
            except Exception as error:  # the store is away: what is not delivered stays
                self._note_problem(error)
                self._store = None  # what arrived before the error is looked up anew
                self._again.wait(wait)
                self._again.clear()
                wait = min(2 * wait, LONGEST_WAIT)
                self._news.set()

    def _note_problem(self, error: Exception) -> None:
        refused = isinstance(error, StoreRefuses)
        text = str(error) if isinstance(error, StoreUnavailable) else reason(error)
        text = " ".join(masked(text, self._to.uri).split())
        if not self.problem or (refused and text != self.problem):
            LOG.warning("What is recorded waits, since %s", text)
        self.problem, self._refused_in = text, self._tries if refused else 0

    def _deliver(self) -> None:
        self._journal.retry()
        if self._store is None or not self._store.is_same:
            begun = self._journal.position and self._to.sweep in self._known.started
            to = self._to
            store = Store(to.uri, to.experiment, to.artifacts, to.sweep if begun else None)
            store.know_runs(to.sweep)
            self._store = store
        more = True
        while more and not self._closing.is_set():
            with what_is_there_left_alone():
                more = self._deliver_some(self._store)

    def _deliver_some(self, store: Store) -> bool:
        """Deliver the journal's next records; return whether there may be more."""
        found = self._journal.read(RECORDS_AT_ONCE)
        self._journal.settle()  # or a resume would add again what the store has and this lost
        valid = valid_records(record for record, _ in found)
        begin = self._journal.position
        for count, record in enumerate(coalesce(self._known.of_last_attempts(valid)), 1):
            try:
                write_record(store, record, self._to.home)
            except Exception as error:
                if not rejected(error):
                    raise
                self._drop(store, record, error)
            self._furthest = max(self._furthest, (begin, count))
        if found:
            self._journal.commit(found[-1][1])
        return len(found) == RECORDS_AT_ONCE

    def _drop(self, store: Store, record: Entry, error: Exception) -> None:
        """Leave out a record that the store will never take, unless it would take no other."""
        kind, identity = record["kind"], record["identity"]
        if isinstance(error, UnknownRun):
            if str(error) in self._known.started:
                store.check(self._to.sweep, str(error))
        elif not isinstance(error, Rejected):
            store.check(self._to.sweep, None if kind == "start" else identity)
        if kind == "start":
            self._known.started.discard(identity)
        told = masked(str(error), self._to.uri)
        LOG.warning("MLflow refused %s of %s: %s", kind, identity, told)
