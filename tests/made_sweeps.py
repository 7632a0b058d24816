"""Sweeps made by hand in a real store, as a sweep's record writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Artifacts
from gatelab.tracking.sqlite import default_uri

SETTINGS = {"search.seed": "0", "training.max_epochs": "20"}
GATES = ("dselect_k", "top_k", "softmax")


class MadeSweep:
    """Writes one sweep's runs; what a gate scores follows from its place and the seed."""

    def __init__(
        self,
        folder: Path,
        name: str,
        gates: Sequence[str] = GATES,
        *,
        task: str = "digits",
        options: Mapping[str, str] | None = None,
        data: str = "",
        seeds: int = 5,
        trials: int = 8,
        unfinished: Sequence[str] = (),
        random_seed: int = 0,
        settings: Mapping[str, str] | None = None,
        spec: str = "",
    ) -> None:
        """Write it.

        Args:
            folder: Of the store.
            name: The sweep's.
            gates: From the best to the worst.
            task: Its name.
            options: Of the task.
            data: The fingerprint; by default none.
            seeds: Of the evaluation.
            trials: Of each gate's search, a quarter of them finished.
            unfinished: Gates still at their search.
            random_seed: Of the noise.
            settings: Of the search, beside or in place of ``SETTINGS``.
            spec: Its text; by default none is recorded.
        """
        self.folder, self.name, self.task = folder, name, task
        self.random = np.random.default_rng(random_seed)
        self.recorder = Recorder(
            folder / f"{name}.jsonl",
            uri=default_uri(folder),
            experiment=name,
            sweep=name,
            artifacts=folder / "artifacts",
        )
        params = {"task": task, **{f"task.{k}": v for k, v in (options or {}).items()}}
        params |= {**SETTINGS, **(settings or {})} | {
            "search.trials": str(trials),
            "evaluation.seeds": str(seeds),
        }
        tags = {"gates": ",".join(gates), "data": data, "metrics.higher": "f1"}
        self._run(name, "sweep", params=params, tags=tags)
        if spec:
            path = folder / Artifacts.SPEC
            path.write_text(spec)
            self.recorder.log_artifact(name, path)
        for place, gate in enumerate(gates):
            self._search(gate, place, trials)
            if gate not in unfinished:
                self._evaluate(gate, place, seeds)
        if not unfinished:
            self._end(name)
        assert self.recorder.close()

    def foreign(self, count: int) -> MadeSweep:
        """Add runs of another program to the experiment."""
        client = MlflowClient(default_uri(self.folder))
        experiment = client.get_experiment_by_name(self.name)
        assert experiment is not None
        for number in range(count):
            run = client.create_run(experiment.experiment_id, run_name=f"foreign{number}")
            client.log_metric(run.info.run_id, "test/loss", 0.0)
        return self

    def _search(self, gate: str, place: int, trials: int) -> None:
        tags = {"role": "gate", "hardens": "yes" if gate in ("dselect_k", "comet") else ""}
        self._run(f"{self.name}/{gate}", "gate", gate, params={"gate": gate}, tags=tags)
        for number in range(trials):
            loss = 0.4 + 0.1 * place + 0.05 * self.random.random()
            identity = f"{self.name}/{gate}/search/{number}"
            scores = {"val/loss": loss, "val/f1": 1 - loss}
            self._run(identity, "search", gate, scores, tags={"trial": str(number)})
            self._end(identity, "finished" if number % 4 == 0 else "pruned")
        finished = len(range(0, trials, 4))
        counts = {"search/finished": finished, "search/pruned": trials - finished}
        counts["search/failed"] = 0
        self.recorder.log_metrics(f"{self.name}/{gate}", 0, counts)

    def _evaluate(self, gate: str, place: int, seeds: int) -> None:
        for seed in range(seeds):
            loss = 0.5 + 0.1 * place + 0.01 * seed + 0.01 * self.random.normal()
            identity = f"{self.name}/{gate}/evaluate/{seed}"
            metrics = {"test/loss": loss, "test/mean/f1": 1 - loss, "gate/entropy": 0.1}
            self._run(identity, "evaluate", gate, metrics, tags={"seed": str(seed)})
            self._end(identity)
        self._end(f"{self.name}/{gate}")

    def _run(
        self,
        identity: str,
        stage: str,
        gate: str = "",
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        found = {"sweep": self.name, "task": self.task, "stage": stage, **(tags or {})}
        if gate:
            found["gate"] = gate
        found = {key: value for key, value in found.items() if value}
        self.recorder.start_run(
            identity, parent=None, name=identity, tags=found, params=params or {}
        )
        if metrics:
            self.recorder.log_metrics(identity, 0, metrics)

    def _end(self, identity: str, end: str = "finished") -> None:
        self.recorder.end_run(identity, "FINISHED", {"end": end})
