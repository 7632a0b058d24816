"""What one more trial costs beyond its training: ours against the plain script, on a warm Ray."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets Ray's environment, so before ray

# isort: split
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from benchmarks.clock import report
from gatelab import launch
from gatelab.gates.gate import gates
from gatelab.sweeps.cluster.joining import join
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.tasks import SyntheticGroups
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.sqlite import default_uri
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

TRIALS, PLAIN_TRIALS, CORES, EPOCHS = (20, 80), (4, 12), 2, 3
"""Of a short and of a long sweep: their difference is free of what starts once."""
TASK = {"num_targets": 4, "train_rows": 256, "val_rows": 128, "test_rows": 128}


def main() -> None:
    """Print the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        join()
        _ours(Path(folder), 2)
        ours, start = _marginal(lambda trials: _ours(Path(folder), trials), TRIALS)
        plain, _ = _marginal(lambda trials: _plain(Path(folder), trials), PLAIN_TRIALS)
        ray.shutdown()
    report(
        "trials: ours / plain script, seconds a trial beyond training",
        ours / plain,
        "ours <= 0.1 s",
        ours=f"{ours:.3f} s",
        plain=f"{plain:.3f} s",
        start=f"{start:.1f} s once a sweep",
    )


def _marginal(run: Callable[[int], float], trials: tuple[int, int]) -> tuple[float, float]:
    """Return the seconds that one more trial takes, and those that a sweep takes without any."""
    short, long = (run(count) for count in trials)
    each = (long - short) / (trials[1] - trials[0])
    return each, short - each * trials[0]


def _ours(folder: Path, trials: int) -> float:
    """Return the seconds that a sweep takes beyond its training."""
    name = f"trials-{trials}"
    spec = parse_spec(
        {
            "name": name,
            "task": {"name": "synthetic_groups", **TASK},
            "gates": ["softmax"],
            "baselines": False,
            "training": {"max_epochs": EPOCHS, "batch_size": 64},
            "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
            "search": {"trials": trials, "early_stopping": False},
            "evaluation": {"seeds": 1},
        }
    )
    started = time.perf_counter()
    launch(spec, folder=folder)
    wall = time.perf_counter() - started
    runs = read_sweep(default_uri(folder), name, trials=True)
    done = runs.of("search") + runs.of("evaluate")
    training = sum(run.metrics["time/train_seconds"] for run in done)
    return wall - training / CORES


def _plain(folder: Path, trials: int) -> float:
    """Return the same for Ray Tune, OptunaSearch and MLflowLoggerCallback as documented."""
    optimizer = {"low": 1e-4, "high": 1e-2, "log": True}

    def train(config: dict[str, Any]) -> None:
        options = {"name": "adam", "learning_rate": config["rate"], "weight_decay": 0.0}
        member = Member(Configuration.of({}, {"num_experts": 8}, options), 0)
        training = Training(
            SyntheticGroups(**TASK), gates.get("softmax"), [member], Recipe(64, EPOCHS)
        )
        seconds = 0.0
        for _ in range(EPOCHS):
            started = time.perf_counter()
            ((_, evaluation),) = training.run_epoch().values()
            seconds += time.perf_counter() - started
            metrics = {f"metric_{i}": evaluation.loss for i in range(20)}
            tune.report({"loss": evaluation.loss, "seconds": seconds, **metrics})

    logging.getLogger("alembic").setLevel(logging.WARNING)
    tracker = MLflowLoggerCallback(
        tracking_uri=default_uri(folder), experiment_name="plain", save_artifact=False
    )
    started = time.perf_counter()
    results = tune.Tuner(
        train,
        param_space={"rate": tune.loguniform(optimizer["low"], optimizer["high"])},
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(), metric="loss", mode="min", num_samples=trials
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder / "plain"), callbacks=[tracker], verbose=0
        ),
    ).fit()
    wall = time.perf_counter() - started
    training = sum(result.metrics["seconds"] for result in results if result.metrics)
    return wall - training / CORES
