"""What tests of sweeps that go on look at: two small sweeps, and all that each has left."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.queries import of_sweep
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri

SPEC = """
name: NAME
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: {top_k: {k: [1, 2]}, softmax: null, relu: null, constant: null}
baselines: false
optimizer: {learning_rate: {low: 1e-3, high: 1e-1, log: true}}
training: {max_epochs: 4, batch_size: 32}
search: {trials: TRIALS, rounds: ROUNDS, early_stopping: {grace_epochs: 2}}
evaluation: {seeds: SEEDS}
"""


def write_few(place: Path, name: str, trials: int, rounds: int, seeds: int, more: str = "") -> None:
    text = SPEC.replace("NAME", name).replace("TRIALS", str(trials))
    text = text.replace("ROUNDS", f"{rounds}{more}").replace("SEEDS", str(seeds))
    (place / f"{name}.yaml").write_text(text)


def told(record: SweepRecord) -> dict[tuple[str, ...], Any]:
    """Return of every run of a sweep what it is and came to, without times and code."""
    found = {}
    for run in record.runs:
        named = ("trial", "seed", "repeat", "split_seed", "end", "end.epoch", "search.reasons")
        tags = {name: run.tags[name] for name in named if name in run.tags}
        metrics = {
            key: None if math.isnan(value) else value  # which is equal to itself
            for key, value in run.metrics.items()
            if "time/" not in key
        }
        params = run.params if run.stage != "sweep" else {}
        key = (run.stage, run.gate, run.name if run.stage != "sweep" else "")
        found[key] = (run.status, run.end_reason, tags, params, metrics)
    return found


def files(place: Path, name: str) -> dict[str, str]:
    """Return the content of everything that a sweep has on this disk."""
    folder = place / FOLDER
    spool = [folder / "spool" / f"{name}.{kind}" for kind in ("jsonl", "position")]
    found = [path for path in (folder / "sweeps" / name).rglob("*") if path.is_file()]
    return {
        f"{path.relative_to(folder)} {path.stat().st_mtime_ns}": hashlib.md5(
            path.read_bytes()
        ).hexdigest()
        for path in [*found, *spool]
    }


def runs(place: Path, name: str) -> list[str]:
    """Return all that MLflow has of a sweep's runs."""
    client = open_client(default_uri(place / FOLDER))
    ids = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(ids, of_sweep(name), max_results=1000)
    texts = []
    for run in found:
        histories = [
            [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, k)]
            for k in sorted(run.data.metrics)
        ]
        texts.append(json.dumps([run.to_dictionary(), histories], default=str))
    return sorted(texts)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
