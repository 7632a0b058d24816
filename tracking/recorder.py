"""The recorder: one writer, in batches, that loses nothing."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatelab.durable import settle
from gatelab.tracking.collecting import what_is_there_left_alone
from gatelab.tracking.journal import Journal
from gatelab.tracking.known import LAST, Known
from gatelab.tracking.lines import Entry
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_delivered import check_all_there
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


class Recorder:
    """Takes records at once, and delivers them to MLflow from a thread of its own.

    What is taken lies in a journal until it is delivered. Delivered twice it is there once: a run
    follows from its identity, and a metric's row from key, step and time.
    """

    def __init__(
        self,
        journal_path: str | Path,
        *,
        uri: str,
        experiment: str,
        sweep: str,
        artifacts: str | Path | None = None,
        home: str | Path = "",
        redeliver: bool = False,
    ) -> None:
        """Open the journal and start to deliver what lies in it.

        Args:
            journal_path: The journal's file.
            uri: MLflow's tracking URI.
            experiment: MLflow's experiment.
            sweep: Whose runs these are.
            artifacts: The folder for artifacts, for a store without a server.
            home: A folder that may be moved with all files in it that are recorded.
            redeliver: Whether to deliver from the journal's beginning.
        """
        self.journal = Journal(journal_path)
        if redeliver:
            self.journal.commit(0)
        self._where = (uri, experiment, artifacts)
        self._sweep, self._home = sweep, Path(home)
        self._known = Known()
        for record, _ in self.journal.records():
            self._known.note(record)
        self._store: Store | None = None
        self._closing, self._hurry, self._news = (threading.Event() for _ in range(3))
        self._news.set()
        self._furthest = (self.journal.position, 0)
        """The position up to which all is delivered, and how many records after it were once."""
        self.problem = ""
        """Why the store takes nothing, while it does not."""
        self.refused = False
        """Whether it answers, but takes nothing of this sweep until somebody mends that."""
        self._thread = threading.Thread(target=self._deliver_all, name="recorder", daemon=True)
        self._thread.start()

    def start_run(
        self,
        identity: str,
        *,
        parent: str | None,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        anew: bool = False,
    ) -> None:
        """Start a run, or go on with the one of this identity.

        Args:
            identity: The run's.
            parent: The identity of the run that it belongs to.
            name: What MLflow calls it.
            tags: Of it.
            params: Of it.
            anew: Whether what it has of an attempt before is to be gone, if it has anything.
        """
        settings = {key: str(value) for key, value in params.items()}
        again = {}
        if anew and self._known.has_any(identity):
            again["attempt"] = self._known.attempt(identity) + 1
        what = {"parent": parent, "name": name, "tags": dict(tags), "params": settings}
        self._take("start", identity, **what, **again)

    def has_step(self, identity: str, step: int) -> bool:
        """Return whether a run has a step of its training."""
        return step <= self._known.last(identity)

    def log_metrics(
        self, identity: str, step: int, values: Mapping[str, float], series: str = ""
    ) -> None:
        """Record values at a step; one that the run, or this series of it, has is left as it is."""
        if self._known.has(identity, LAST) or step <= self._known.last(identity, series):
            return
        of = {"series": series} if series else {}
        self._take("metrics", identity, step=step, values=dict(values), **of)

    def log_series(self, identity: str, series: str, values: Mapping[str, float]) -> None:
        """Record values at the next step of a series of a run's, which counts steps of its own.

        Args:
            identity: The run's.
            series: Its name.
            values: By keys that only this series has.
        """
        step = self._known.last(identity, series) + 1
        self._take("metrics", identity, step=step, values=dict(values), series=series)

    def log_once(self, identity: str, series: str, step: int, values: Mapping[str, float]) -> None:
        """Record a series of one row, at a step or after all that the run has, unless it has it."""
        if self._known.has(identity, series):
            return
        step = max(step, self._known.last_of_all(identity) + 1)
        self._take("metrics", identity, step=step, values=dict(values), series=series)

    def log_last(self, identity: str, step: int, values: Mapping[str, float]) -> None:
        """Record a run's last row, which none of its training follows."""
        self.log_once(identity, LAST, step, values)

    def log_params(self, identity: str, params: Mapping[str, object]) -> None:
        """Record params that were not known at the start."""
        self._take("params", identity, params={key: str(value) for key, value in params.items()})

    def set_tags(self, identity: str, tags: Mapping[str, str]) -> None:
        """Record tags, over those of the same names."""
        self._take("tags", identity, tags=dict(tags))

    def log_artifact(self, identity: str, path: str | Path, folder: str = "") -> None:
        """Record a file, which must stay where it is until it is delivered."""
        place = Path(path)
        if place.exists():
            settle(place)  # it is there when its record is
        if place.is_relative_to(self._home):
            place = place.relative_to(self._home)
        self._take("artifact", identity, path=str(place), folder=folder)

    def log_data(self, identity: str, data: Mapping[str, object]) -> None:
        """Record what a run is trained on, as :func:`.mlflow_data.dataset_input` takes it."""
        self._take("data", identity, data=dict(data))

    def share_view(self, identity: str, key: str, view: Mapping[str, object]) -> None:
        """Keep a view of the experiment's runs, which an address can name by its key."""
        self._take("view", identity, key=key, view=json.dumps(view))

    def end_run(self, identity: str, status: str, tags: Mapping[str, str]) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self._take("end", identity, status=status, tags=dict(tags))

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until everything is delivered, or nothing has been for so long; return whether."""
        before = (-1, 0)
        while self.pending and not self.refused and self._furthest > before:
            before = self._furthest
            self._wait(timeout)
        return not self.pending

    def _wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._hurry.set()
        self._news.set()
        while self.pending and time.monotonic() < deadline and self._thread.is_alive():
            if self.refused:
                break
            time.sleep(0.02)
        self._hurry.clear()

    @property
    def pending(self) -> int:
        """How many bytes of the journal are not delivered."""
        return self.journal.end - self.journal.position

    @property
    def has_metrics(self) -> bool:
        """Whether metrics of any run's training were taken, before this process too."""
        return self._known.trained

    def check_all_there(self) -> None:
        """Refuse a store that has lost runs since they were delivered.

        Raises:
            StoreRefuses: If it has; they lie in the journal still.
            StoreUnavailable: If it cannot be used.
        """
        uri, experiment, _ = self._where
        check_all_there(uri, experiment, self._sweep, self._known.started)

    def close(self, timeout: float = 60.0) -> bool:
        """Deliver what can be, and stop; return whether everything arrived."""
        self._wait(timeout)
        arrived = not self.pending
        self._closing.set()
        self._hurry.set()
        self._news.set()
        self._thread.join(5.0)
        self.journal.retry()
        if self.journal.waits and not arrived:
            LOG.warning("%s: what waited in memory is lost: its disk is full", self.journal.path)
        self.journal.close()
        return arrived

    def _take(self, kind: str, identity: str, **what: Any) -> None:
        record = {"kind": kind, "identity": identity, "time": time.time_ns() // 1_000_000}
        attempt = self._known.attempt(identity)
        record |= ({"attempt": attempt} if attempt else {}) | what
        self._known.note(record)
        self.journal.append(record)
        self._news.set()

    def _deliver_all(self) -> None:
        wait = FIRST_WAIT
        while not self._closing.is_set():
            self._news.wait()
            if self._store is not None:  # else the sweep is to be seen in MLflow soon
                self._hurry.wait(BATCH_SECONDS)
            self._news.clear()
            try:
                with store_errors(self._where[0]), permitted(*self._where[:2]):
                    self._deliver()
                self.problem, self.refused, wait = "", False, FIRST_WAIT
            except Exception as error:  # the store is away: what is not delivered stays
                self._note_problem(error)
                self._store = None  # what arrived before the error is looked up anew
                self._closing.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                self._news.set()

    def _note_problem(self, error: Exception) -> None:
        refused = isinstance(error, StoreRefuses)
        text = str(error) if isinstance(error, StoreUnavailable) else reason(error)
        text = " ".join(masked(text, self._where[0]).split())
        if not self.problem or (refused and not self.refused):
            LOG.warning("What is recorded waits, since %s", text)
        self.problem, self.refused = text, refused

    def _deliver(self) -> None:
        self.journal.retry()
        if self._store is None:
            begun = self.journal.position and self._sweep in self._known.started
            store = Store(*self._where, self._sweep if begun else None)
            store.know_runs(self._sweep)
            self._store = store
        more = True
        while more and not self._closing.is_set():
            with what_is_there_left_alone():
                more = self._deliver_some(self._store)

    def _deliver_some(self, store: Store) -> bool:
        """Deliver the journal's next records; return whether there may be more."""
        found = self.journal.read(RECORDS_AT_ONCE)
        self.journal.settle()  # what the store has is not lost here, or a resume would add it again
        valid = valid_records(record for record, _ in found)
        begin = self.journal.position
        for count, record in enumerate(coalesce(self._known.of_last_attempts(valid)), 1):
            try:
                write_record(store, record, self._home)
            except Exception as error:
                if not rejected(error):
                    raise
                self._drop(store, record, error)
            self._furthest = max(self._furthest, (begin, count))
        if found:
            self.journal.commit(found[-1][1])
        return len(found) == RECORDS_AT_ONCE

    def _drop(self, store: Store, record: Entry, error: Exception) -> None:
        """Leave out a record that the store will never take, unless it would take no other."""
        kind, identity = record["kind"], record["identity"]
        if isinstance(error, UnknownRun):
            if str(error) in self._known.started:
                store.check(self._sweep, str(error))
        elif not isinstance(error, Rejected):
            store.check(self._sweep, None if kind == "start" else identity)
        if kind == "start":
            self._known.started.discard(identity)
        told = masked(str(error), self._where[0])
        LOG.warning("MLflow refused %s of %s: %s", kind, identity, told)
