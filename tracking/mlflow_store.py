"""MLflow, written to: the runs of a sweep."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import Any

from mlflow.entities import LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from requests import HTTPError

from gatelab.tracking.artifact_places import check_location
from gatelab.tracking.lines import FULL
from gatelab.tracking.mlflow_client import (
    active_experiments,
    file_id,
    metric_key,
    open_client,
    search,
)
from gatelab.tracking.mlflow_delivered import another_home, check_delivered, lost_run
from gatelab.tracking.mlflow_experiment import active_experiment
from gatelab.tracking.mlflow_rejected import Rejected, UnknownRun, indispensable, storable
from gatelab.tracking.mlflow_tags import ATTEMPT, IDENTITY, restored, stored
from gatelab.tracking.queries import of_stage, of_sweep
from gatelab.tracking.schema import Tags
from gatelab.tracking.store_errors import StoreRefuses, check_store_writable

PARENT = "mlflow.parentRunId"
IN_THE_WAY = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, *IN_THE_WAY, *FULL)
"""Errors of a disk that takes no file until somebody sees to it."""
LONGEST_PARAM = 6000
"""Characters of a param's value that MLflow takes."""
SHARED_VIEW = "mlflow.sharedViewState."
"""How the experiment's tags begin that MLflow's "Share" leaves."""
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class Store:
    """Writes the runs of one experiment; each call can be repeated without harm."""

    def __init__(
        self,
        uri: str,
        experiment: str,
        artifacts: str | Path | None = None,
        sweep: str | None = None,
    ) -> None:
        """Connect, and make the experiment if there is none.

        Args:
            uri: MLflow's tracking URI.
            experiment: Its name.
            artifacts: The folder for artifacts; not for a server, which has its own place.
            sweep: That has delivered to it: then the experiment is not made, but lost.

        Raises:
            StoreRefuses: If it was deleted or lost, or cannot be made.
        """
        self.uri, self.experiment = uri, experiment
        check_store_writable(uri)
        if sweep is not None:
            place = None if artifacts is None else Path(artifacts)
            check_delivered(uri, experiment, sweep, place)  # first: to open makes a missing one
        self.client, self._file = open_client(uri), file_id(uri)
        self.experiment_id = self._experiment(experiment, artifacts)
        self._run_ids: dict[str, str] = {}
        self._attempts: dict[str, int] = {}

    @property
    def is_same(self) -> bool:
        """Whether its address leads to what was opened: a file can be deleted or replaced."""
        return file_id(self.uri) == self._file

    def _experiment(self, name: str, artifacts: str | Path | None) -> str:
        found = active_experiment(self.client, self.uri, name)
        if found is not None:
            check_location(self.uri, found.artifact_location or "")
            return str(found.experiment_id)
        place = None if artifacts is None else Path(artifacts).resolve().as_uri()
        check_location(self.uri, place or "")
        try:
            with indispensable(self.uri, f"experiment {name[:100]!r}"):
                return str(self.client.create_experiment(name, artifact_location=place))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
            return self._experiment(name, artifacts)  # another process was faster

    def know_runs(self, sweep: str) -> None:
        """Find the runs that a sweep has already, so that a resume writes on in them."""
        for run in search(self.client, [self.experiment_id], of_sweep(sweep)):
            tags = restored(run.data.tags)
            identity, attempt = tags.get(IDENTITY), int(tags.get(ATTEMPT, 0))
            if identity is not None and attempt >= self._attempts.get(identity, 0):
                self._run_ids[identity], self._attempts[identity] = run.info.run_id, attempt

    def start_run(
        self,
        identity: str,
        parent: str | None,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        start_ms: int,
        attempt: int = 0,
    ) -> None:
        """Make a run, or set the one of this identity running again.

        That of an earlier attempt is deleted, and another made.
        """
        tags = {**tags, IDENTITY: identity, **({ATTEMPT: str(attempt)} if attempt else {})}
        if parent is not None:
            tags[PARENT] = self._run_id(parent)
        self._check_own(identity, tags)
        if attempt > self._attempts.get(identity, 0):
            self._delete(identity)  # a second time too, where an answer is lost
        if identity in self._run_ids:
            self.client.update_run(self._run_ids[identity], status="RUNNING")
            self.log(identity, tags=tags)
        else:
            needed = (
                indispensable(self.uri, f"run {identity!r}") if parent is None else nullcontext()
            )
            with needed, _asked_once():
                run = self.client.create_run(
                    self.experiment_id, start_time=start_ms, tags=stored(tags), run_name=name
                )
            self._run_ids[identity], self._attempts[identity] = run.info.run_id, attempt
            self._check_own(identity, tags, made=True)
        self.log(identity, params=params)

    def _check_own(self, identity: str, tags: Mapping[str, str], *, made: bool = False) -> None:
        """Refuse a sweep's run where another home has made one of its name.

        Asked before one is made, and after: of two that make one at once, the later sees both. It
        takes its own back; both do if neither was done before the other looked.
        """
        home = tags.get(Tags.HOME)
        if home is None:
            return
        query = of_sweep(identity, of_stage("sweep"))
        found = search(self.client, active_experiments(self.client), query)
        if all(restored(run.data.tags).get(Tags.HOME) == home for run in found):
            return
        if made:
            self._delete(identity)
        self._run_ids.pop(identity, None)
        raise another_home(self.uri, identity)

    def _delete(self, identity: str) -> None:
        run_id = self._run_ids.pop(identity, None)
        if run_id is not None:
            self.client.delete_run(run_id)

    def log(
        self,
        identity: str,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Write values of a run in as few requests as MLflow allows, which is its client's work.

        Args:
            identity: Of the run.
            metrics: Key, value, time in ms, step.
            tags: By name.
            params: By name; what is written already stays.
        """
        run_id = self._run_id(identity)
        values = [Metric(metric_key(key), value, time, step) for key, value, time, step in metrics]
        run_tags = [RunTag(key, value) for key, value in stored(tags or {}).items()]
        settings = [
            Param(metric_key(key), storable(value, LONGEST_PARAM))
            for key, value in (params or {}).items()
        ]
        self.client.log_batch(
            run_id, metrics=values, tags=run_tags, params=settings, synchronous=True
        )  # said, or MLFLOW_ENABLE_ASYNC_LOGGING lets it return before anything is there

    def log_artifact(self, identity: str, path: str, folder: str) -> None:
        """Copy a file to a run's artifacts.

        Raises:
            Rejected: If it is not there, or too large for a server or a proxy before it.
            StoreRefuses: If the disk of the artifacts takes none.
        """
        if not Path(path).exists():
            raise Rejected(f"no such file: {path}")
        try:
            self.client.log_artifact(self._run_id(identity), path, folder or None)
        except HTTPError as error:
            _check_size(error, path)
            raise
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            remedy = "make room" if error.errno in FULL else "make them writable"
            remedy = "move away what is there" if error.errno in IN_THE_WAY else remedy
            raise StoreRefuses(
                f"MLflow's artifacts cannot be written ({error.strerror}: {error.filename}): "
                f"{remedy}."
            ) from error

    def log_data(self, identity: str, data: Mapping[str, Any]) -> None:
        """Record what a run is trained on (:func:`.mlflow_data.dataset_input`)."""
        from gatelab.tracking.mlflow_data import dataset_input  # here: it takes a second to import

        self.client.log_inputs(self._run_id(identity), datasets=[dataset_input(data)])

    def share_view(self, key: str, view: str) -> None:
        """Keep a view of the experiment's runs, which an address can name."""
        self.client.set_experiment_tag(self.experiment_id, f"{SHARED_VIEW}{key}", view)

    def end_run(self, identity: str, status: str, end_ms: int) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self._run_id(identity), status, end_ms)

    def check(self, sweep: str, identity: str | None) -> None:
        """Tell a value that the store does not take from a store that takes nothing.

        Args:
            sweep: Whose run it is.
            identity: Of a run that was delivered; ``None``: of the experiment alone.

        Raises:
            StoreRefuses: If the experiment or the run is not there, or was deleted.
        """
        active_experiment(self.client, self.uri, self.experiment)
        if identity is None:
            return
        run_id = self._run_ids.get(identity)
        run = self.client.get_run(run_id) if run_id else None
        if run is None or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
            raise lost_run(self.client, self.uri, self.experiment, sweep, identity)

    def _run_id(self, identity: str) -> str:
        if identity not in self._run_ids:
            raise UnknownRun(identity)
        return self._run_ids[identity]


def _check_size(error: HTTPError, path: str) -> None:
    """Leave out a file that is too large: to wait would hold up all records behind it for ever."""
    if error.response is not None and error.response.status_code == TOO_LARGE:
        raise Rejected(
            f"{path} has {Path(path).stat().st_size:,} bytes, more than the server, or a proxy "
            f"before it, takes ({TOO_LARGE} {error.response.reason}): it stays there, and MLflow "
            "lacks it."
        ) from error


@contextmanager
def _asked_once() -> Iterator[None]:
    """Keep MLflow's client from repeating a request whose answer is lost: both would make a run.

    Whoever delivers finds out which runs there are before it tries again.
    """
    before = os.environ.get(RETRIES)
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[RETRIES]
        else:
            os.environ[RETRIES] = before
