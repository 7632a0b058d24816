"""The recorder: takes what is to be recorded, once and for good."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from gatelab.durable import settle
from gatelab.tracking.deliverer import Addressee, Deliverer
from gatelab.tracking.journal import Journal
from gatelab.tracking.known import LAST, Known
from gatelab.tracking.mlflow_delivered import check_all_there


class Recorder:
    """Takes records at once, and has them delivered to MLflow.

    What is taken lies in a journal until it is delivered (:class:`.Deliverer`).
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
        self._home = Path(home)
        self._known = Known()
        for record, _ in self.journal.records():
            self._known.note(record)
        self._to = Addressee(uri, experiment, sweep, artifacts, self._home)
        self._deliverer = Deliverer(self.journal, self._known, self._to)

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
        return self._deliverer.flush(timeout)

    @property
    def pending(self) -> int:
        """How many bytes of the journal are not delivered."""
        return self._deliverer.pending

    @property
    def problem(self) -> str:
        """Why the store takes nothing, while it does not."""
        return self._deliverer.problem

    @property
    def refused(self) -> bool:
        """Whether it answers, but takes nothing of this sweep until somebody mends that."""
        return self._deliverer.refused

    @property
    def ended(self) -> Set[str]:
        """The identities of the runs that have ended."""
        return self._known.ended

    @property
    def started(self) -> Set[str]:
        """The identities of the runs that were started, before this process too."""
        return self._known.started

    def last_tag(self, identity: str, key: str) -> str:
        """Return what a run's tag was last; empty where it never was."""
        found = ""
        for record, _ in self.journal.records():
            if record.get("identity") == identity:
                found = (record.get("tags") or {}).get(key, found)
        return found

    def check_all_there(self) -> None:
        """Refuse a store that has lost runs since they were delivered.

        Raises:
            StoreRefuses: If it has; they lie in the journal still.
            StoreUnavailable: If it cannot be used.
        """
        to = self._to
        check_all_there(to.uri, to.experiment, to.sweep, self._known.started)

    def close(self, timeout: float = 60.0) -> bool:
        """Deliver what can be, and stop; return whether everything arrived."""
        return self._deliverer.close(timeout)

    def _take(self, kind: str, identity: str, **what: Any) -> None:
        record = {"kind": kind, "identity": identity, "time": time.time_ns() // 1_000_000}
        attempt = self._known.attempt(identity)
        record |= ({"attempt": attempt} if attempt else {}) | what
        self._known.note(record)
        self.journal.append(record)
        self._deliverer.wake()
