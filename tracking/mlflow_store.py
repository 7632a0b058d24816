"""MLflow: the only file that knows its API."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
for _name in ("alembic", "mlflow.store.db.utils"):  # a new database tells of each migration
    logging.getLogger(_name).setLevel(logging.WARNING)

from mlflow import MlflowClient  # noqa: E402 - after its environment
from mlflow.entities import Metric, Param, Run, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.protos.databricks_pb2 import (  # noqa: E402
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    ErrorCode,
)

from registry import near_misses  # noqa: E402

IDENTITY = "gatelab.identity"
PARENT = "mlflow.parentRunId"
METRICS_A_BATCH, OTHERS_A_BATCH = 1000, 100
PAGE = 500


@dataclass(frozen=True)
class RunRecord:
    """One run, as a comparison reads it."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """The last value of each."""
    tags: Mapping[str, str]

    @property
    def stage(self) -> str:
        """``sweep``, ``gate``, ``search`` or ``evaluate``."""
        return self.tags.get("stage", "")

    @property
    def gate(self) -> str:
        """The gate's name in the spec."""
        return self.tags.get("gate", "")

    @property
    def end(self) -> str:
        """``finished``, ``pruned`` or ``failed``; empty while it runs."""
        return self.tags.get("end", "")


@dataclass(frozen=True)
class SweepRecord:
    """All runs of a sweep."""

    sweep: str
    runs: tuple[RunRecord, ...] = field(default=())

    def of(self, stage: str, gate: str | None = None) -> list[RunRecord]:
        """Return the runs of a stage, of one gate or of all."""
        return [r for r in self.runs if r.stage == stage and gate in (None, r.gate)]


class Rejected(Exception):
    """The store will never take this; to try again is useless."""


def default_uri(folder: str | Path) -> str:
    """Return the tracking URI of a SQLite store in a folder."""
    return f"sqlite:///{Path(folder).resolve() / 'mlflow.db'}"


class Store:
    """Writes the runs of one experiment; each call can be repeated without harm."""

    def __init__(self, uri: str, experiment: str, artifacts: str | Path | None = None) -> None:
        """Connect, and make the experiment if there is none.

        Args:
            uri: MLflow's tracking URI.
            experiment: Its name.
            artifacts: The folder for artifacts; not for a server, which has its own place.
        """
        self.client = _client(uri)
        self.experiment_id = self._experiment(experiment, artifacts)
        self._run_ids: dict[str, str] = {}

    def _experiment(self, name: str, artifacts: str | Path | None) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None if artifacts is None else Path(artifacts).resolve().as_uri()
        try:
            return str(self.client.create_experiment(name, artifact_location=place))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
            return self._experiment(name, artifacts)  # another process was faster

    def know_runs(self, sweep: str) -> None:
        """Find the runs that a sweep has already, so that a resume writes on in them."""
        for run in _search(self.client, [self.experiment_id], f"tags.sweep = '{sweep}'"):
            if IDENTITY in run.data.tags:
                self._run_ids[run.data.tags[IDENTITY]] = run.info.run_id

    def start_run(
        self,
        identity: str,
        parent: str | None,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        start_ms: int,
    ) -> None:
        """Make a run, or set the one of this identity running again."""
        tags = {**tags, IDENTITY: identity}
        if parent is not None:
            tags[PARENT] = self._run_ids[parent]
        if identity in self._run_ids:
            self.client.update_run(self._run_ids[identity], status="RUNNING")
            self.log(identity, tags=tags)
        else:
            run = self.client.create_run(
                self.experiment_id, start_time=start_ms, tags=tags, run_name=name
            )
            self._run_ids[identity] = run.info.run_id
        self.log(identity, params=params)

    def log(
        self,
        identity: str,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Write values of a run in as few requests as MLflow allows.

        Args:
            identity: Of the run.
            metrics: Key, value, time in ms, step.
            tags: By name.
            params: By name; what is written already stays.
        """
        run_id = self._run_ids[identity]
        values = [Metric(_key(key), value, time, step) for key, value, time, step in metrics]
        labels = [RunTag(key, value[:5000]) for key, value in (tags or {}).items()]
        settings = [Param(_key(key), value[:6000]) for key, value in (params or {}).items()]
        for start in range(0, len(values), METRICS_A_BATCH):
            self.client.log_batch(run_id, metrics=values[start : start + METRICS_A_BATCH])
        for start in range(0, max(len(labels), len(settings)), OTHERS_A_BATCH):
            part = slice(start, start + OTHERS_A_BATCH)
            self.client.log_batch(run_id, tags=labels[part], params=settings[part])

    def log_artifact(self, identity: str, path: str, folder: str) -> None:
        """Copy a file to a run's artifacts."""
        if not Path(path).exists():
            raise Rejected(f"no such file: {path}")
        self.client.log_artifact(self._run_ids[identity], path, folder or None)

    def end_run(self, identity: str, status: str, tags: Mapping[str, str], end_ms: int) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self.log(identity, tags=tags)
        self.client.set_terminated(self._run_ids[identity], status, end_ms)


def rejected(error: Exception) -> bool:
    """Return whether an error says that the same request will never succeed."""
    if isinstance(error, (Rejected, KeyError)):
        return True
    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(
        INVALID_PARAMETER_VALUE
    )


def read_sweep(uri: str, sweep: str) -> SweepRecord:
    """Read every run of a sweep, without the metrics' histories.

    Raises:
        LookupError: If the store knows no such sweep.
    """
    client = _client(uri)
    found = _search(client, _experiments(client), f"tags.sweep = '{sweep}'")
    runs = tuple(
        RunRecord(
            run.info.run_id,
            run.info.run_name or "",
            run.info.status,
            dict(run.data.params),
            dict(run.data.metrics),
            dict(run.data.tags),
        )
        for run in found
    )
    if not runs:
        raise LookupError(f"no sweep {sweep!r} in {uri}; {near_misses(sweep, sweep_names(uri))}")
    return SweepRecord(sweep, runs)


def sweep_names(uri: str) -> list[str]:
    """Return the sweeps that a store knows, sorted."""
    client = _client(uri)
    runs = _search(client, _experiments(client), "tags.stage = 'sweep'")
    return sorted({run.data.tags["sweep"] for run in runs if "sweep" in run.data.tags})


def history(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    """Return every step and value of a run's metric, by step."""
    found = _client(uri).get_metric_history(run_id, _key(key))
    return sorted((metric.step, metric.value) for metric in found)


@functools.lru_cache(maxsize=8)
def _client(uri: str) -> MlflowClient:
    """Return a client; opening a database takes a second, so one process does it once."""
    return MlflowClient(uri)


def _experiments(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]


def _search(client: MlflowClient, experiments: list[str], query: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs(
            experiments, query, ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _key(name: str) -> str:
    """Return a key of the characters that MLflow allows."""
    return re.sub(r"[^\w\-. :/]", "_", name)
