"""MLflow, read: the runs of a sweep, their curves and their files."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from gatelab.registry import near_misses
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_client import (
    PAGE,
    active_experiments,
    metric_key,
    open_client,
    search,
)
from gatelab.tracking.mlflow_delivered import deleted_sweep
from gatelab.tracking.mlflow_errors import reading
from gatelab.tracking.mlflow_tags import restored
from gatelab.tracking.queries import OF_NO_SWEEP, of_no_stage, of_stage, of_sweep
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import COUNTS, STAGES, Artifacts, Tags
from gatelab.tracking.views import SweepLinks


@reading
def read_sweep(uri: str, sweep: str, *, trials: bool = False) -> SweepRecord:
    """Read the runs of a sweep, without the metrics' histories.

    Args:
        uri: MLflow's tracking URI.
        sweep: Its name.
        trials: Whether to read the trials too; else only where their gates do not count them.

    Raises:
        LookupError: If the store knows no such sweep.
        StoreUnavailable: If the store cannot be used.
    """
    client = open_client(uri)
    found = _find(client, sweep, of_no_stage("search"))
    if not found:
        raise LookupError(_unknown(client, uri, sweep))
    experiments = sorted({run.info.experiment_id for run in found})
    counted = all(set(COUNTS.values()) & set(r.data.metrics) for r in found if _is_gate(r))
    if trials or not counted:
        found += search(client, experiments, of_sweep(sweep, of_stage("search")))
    runs = [_record(run) for run in found]
    ours = tuple(run for run in runs if run.stage in STAGES)
    foreign = sum(1 for _ in islice(search(client, experiments, OF_NO_SWEEP), PAGE))
    return _in_order(SweepRecord(sweep, ours, len(runs) - len(ours) + foreign, uri))


@reading
def sweep_names(uri: str) -> list[str]:
    """Return the sweeps that a store knows, the newest first."""
    client = open_client(uri)
    runs = search(client, active_experiments(client), of_stage("sweep"))
    named = [run for run in runs if Tags.SWEEP in run.data.tags]
    named.sort(key=lambda run: run.info.start_time, reverse=True)
    return list(dict.fromkeys(run.data.tags[Tags.SWEEP] for run in named))


@reading
def history(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    """Return every step and value of a run's metric, by step."""
    found = open_client(uri).get_metric_history(run_id, metric_key(key))
    return sorted((metric.step, metric.value) for metric in found)


def read_artifact(uri: str, run_id: str, path: str) -> bytes | None:
    """Return a file of a run; ``None`` where there is none."""
    client = open_client(uri)
    try:
        with TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run_id, path, folder)).read_bytes()
    except (MlflowException, OSError):  # which of them depends on where the artifacts lie
        return None


def with_spec(record: SweepRecord) -> SweepRecord:
    """Return a sweep's record with its spec, or with where that lies if it cannot be read.

    Raises:
        ValueError: If it is no text.
    """
    if record.run is None:
        return record
    spec = read_artifact(record.uri, record.run.run_id, Artifacts.SPEC)
    if spec is None:
        return replace(record, unread=artifacts_of(record.uri, record.run.run_id))
    try:
        return replace(record, spec=spec.decode())
    except UnicodeDecodeError as error:
        run = record.run.run_id
        raise ValueError(
            f"sweep {record.sweep!r}: spec.yaml of its run {run} is damaged."
        ) from error


@reading
def artifacts_of(uri: str, run_id: str) -> str:
    """Return where a store says that the files of a run lie."""
    address = open_client(uri).get_run(run_id).info.artifact_uri or ""
    return unquote(urlsplit(address).path) if address.startswith("file:") else masked(address)


@reading
def sweep_links(uri: str, sweep: str) -> SweepLinks:
    """Return where MLflow's pages show a sweep.

    Raises:
        LookupError: If the store knows no such sweep.
        StoreUnavailable: If the store cannot be used.
    """
    client = open_client(uri)
    for run in _find(client, sweep, of_stage("sweep")):
        return SweepLinks(run.info.experiment_id, run.info.run_id, sweep)
    raise LookupError(_unknown(client, uri, sweep))


def _find(client: MlflowClient, sweep: str, condition: str) -> list[Run]:
    if "'" in sweep:  # no sweep's name has one, and MLflow's queries cannot quote it
        return []
    return list(search(client, active_experiments(client), of_sweep(sweep, condition)))


def _in_order(record: SweepRecord) -> SweepRecord:
    """Return a record in the spec's order of gates, and by name: a store's is of who was first."""
    places = {gate: place for place, gate in enumerate(record.planned)}
    order = sorted(record.runs, key=lambda run: (places.get(run.gate, len(places)), run.name))
    return replace(record, runs=tuple(order))


def _unknown(client: MlflowClient, uri: str, sweep: str) -> str:
    if "'" not in sweep and (deleted := deleted_sweep(client, uri, sweep)):
        return deleted
    return f"no sweep {sweep!r} in {masked(uri)}; {near_misses(sweep, sweep_names(uri))}"


def _is_gate(run: Run) -> bool:
    return bool(run.data.tags.get(Tags.STAGE) == "gate")


def _record(run: Run) -> RunRecord:
    return RunRecord(
        run.info.run_id,
        run.info.run_name or "",
        run.info.status,
        dict(run.data.params),
        {key: _finite(value) for key, value in run.data.metrics.items()},
        restored(run.data.tags),
        (run.info.start_time or 0) / 1000,
        (run.info.end_time or 0) / 1000,
    )


def _finite(value: float) -> float:
    """Return infinity where MLflow's databases hold the largest number in its place."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
