"""Reviews made by hand, of the shapes that a report must bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from gatelab.results.comparison import compare_runs
from gatelab.results.review import IMPORTANCE_COLUMNS, TRIAL_COLUMNS, WEIGHT_COLUMNS, Review
from gatelab.tracking.runs import RunRecord, SweepRecord

SPEC = "name: made\ntask: <planted & made>\ngates: [a, b]\n"
REASON = "RuntimeError: <b>mat1</b> & mat2 shapes cannot be multiplied (256x64 and 32x8)"
PROVENANCE = {
    "version.gatelab": "0.1.0",
    "version.torch": "2.13.0",
    "version.python": "3.11.7",
    "git.commit": "0123456789abcdef0123456789abcdef01234567",
    "machine.system": "Linux x86_64",
    "machine.cpus": "2",
    "data": "9f86d081884c7d65",
}
PARAMS = {
    "task": "synthetic_groups",
    "task.num_groups": "4",
    "training.batch_size": "256",
    "training.max_epochs": "20",
    "training.patience": "5",
    "search.trials": "20",
    "search.sampler": "tpe",
    "search.seed": "0",
    "evaluation.seeds": "5",
    "evaluation.select": "best",
}
MADE = ("dselect_k", "top_k", "softmax")


def made(
    gates: Sequence[str] = MADE,
    targets: int = 2,
    *,
    groups: int | None = None,
    experts: int = 8,
    seeds: int = 5,
    trials: int = 20,
    running: bool = False,
    dead: Sequence[str] = (),
) -> Review:
    """Return a review of gates that differ a little from each other.

    Args:
        gates: Their names.
        targets: How many; with more than 16 only means are metrics.
        groups: Planted groups of targets, if any.
        experts: How many.
        seeds: Of the evaluation.
        trials: Of each gate.
        running: Whether it has not come to the evaluation.
        dead: Gates whose every trial failed.
    """
    rng = np.random.default_rng(0)
    names = [f"target_{i}" for i in range(targets)]
    alive = [gate for gate in gates if gate not in dead]
    table = _trials(rng, gates, dead, trials)
    evaluated = [] if running else alive
    runs = [_run("sweep", end="" if running else "finished", gates=",".join(gates))]
    runs[0] = replace(
        runs[0], params=PARAMS, tags={**runs[0].tags, **PROVENANCE, "metrics.higher": "accuracy"}
    )
    for gate in gates:
        runs += _search_runs(gate, table[table["gate"] == gate], gate in evaluated)
    for index, gate in enumerate(evaluated):
        runs += [_seed_run(rng, gate, index, seed, names) for seed in range(seeds)]
    record = SweepRecord("made", tuple(runs), uri="sqlite:///made.db")
    planted = None if groups is None else [i % groups for i in range(targets)]
    return Review(
        compare_runs(record),
        record,
        SPEC,
        table,
        _curves(rng, evaluated, seeds),
        _weights(rng, evaluated, seeds, names, planted, experts),
        _importance(table, evaluated),
    )


def _run(stage: str, gate: str = "", end: str = "finished", **tags: str) -> RunRecord:
    tags = {"stage": stage, "gate": gate, "task": "synthetic_groups", "sweep": "made", **tags}
    named = f"{stage}-{gate}-{tags.get('seed', '')}{tags.get('trial', '')}"
    return RunRecord(named, named, "FINISHED", {}, {}, {**tags, "end": end} if end else tags)


def _trials(
    rng: np.random.Generator, gates: Sequence[str], dead: Sequence[str], trials: int
) -> pd.DataFrame:
    rows = []
    for gate in gates:
        for number in range(trials):
            end = "failed" if gate in dead else rng.choice(["finished", "pruned"], p=[0.4, 0.6])
            rate, gamma = 10 ** rng.uniform(-4, -1.5), 10 ** rng.uniform(-2, 1)
            row = {"gate": gate, "number": number, "end": str(end)}
            row |= {"epoch": 20 if end == "finished" else 5, "objective": np.nan}
            row |= {"optimizer.learning_rate": rate, "model.num_experts": 8.0}
            if gate.startswith(("dselect", "gate")):
                row |= {"gate.gamma": gamma, "gate.k": float(rng.integers(1, 5))}
                row |= {"gate.entropy_weight": 10 ** rng.uniform(-4, 0)}
            if gate == "top_k":
                row |= {"gate.k": float(rng.choice([1, 2, 4])), "gate.noise": "learned"}
                row["gate.noise"] = str(rng.choice(["none", "fixed", "learned"]))
            if end != "failed":
                row["objective"] = 0.3 + 0.2 * (np.log10(rate) + 3) ** 2 + 0.2 * rng.random()
                row["objective"] += 0.3 * (end == "pruned")
            rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else TRIAL_COLUMNS)


def _search_runs(gate: str, table: pd.DataFrame, evaluated: bool) -> list[RunRecord]:
    best = table.dropna(subset="objective").sort_values("objective").head(1)
    chosen = {n: str(v) for n, v in best.iloc[0].dropna().items() if "." in n} if len(best) else {}
    dead = len(table) > 0 and best.empty
    reason = f"no trial finished: {REASON}" if dead else "evaluated"
    end = "failed" if dead else "finished" if evaluated else ""
    run = _run("gate", gate, end, **{"end.reason": reason} if end else {})
    params = {"gate": gate, **(chosen if evaluated else {})}
    metrics = {"gate/seed_agreement": 0.75} if evaluated else {}
    runs = [replace(run, params=params, metrics=metrics)]
    for row in table.to_dict("records"):
        why = {"end.reason": REASON} if row["end"] == "failed" else {}
        runs.append(_run("search", gate, row["end"], trial=str(row["number"]), **why))
    return runs


def _seed_run(
    rng: np.random.Generator, gate: str, index: int, seed: int, names: Sequence[str]
) -> RunRecord:
    loss = 0.30 + 0.02 * index + 0.02 * np.sin(seed) + 0.008 * rng.standard_normal()
    metrics = {"test/loss": loss, "test/mean/accuracy": 1 - loss / 6}
    if len(names) <= 16:
        for name in names:
            metrics[f"test/{name}/loss"] = loss / len(names) + 0.005 * rng.standard_normal()
            metrics[f"test/{name}/accuracy"] = 1 - loss / 6 + 0.005 * rng.standard_normal()
    for name in ("entropy", "load_cv2", "jaccard", "jaccard_gap", "f1", "dead_experts"):
        metrics[f"gate/{name}"] = rng.random()
    metrics["gate/experts_per_example"] = 1 + index % 8 + 0.2 * rng.random()
    metrics["gate/experts_per_row"] = min(8.0, 1.5 * metrics["gate/experts_per_example"])
    metrics["time/train_seconds"] = 1.2 + 0.3 * index + 0.1 * rng.random()
    metrics |= {"model/parameters": 51_210.0, "model/gate_parameters": 520.0 * (1 + index % 3)}
    return replace(_run("evaluate", gate, seed=str(seed)), metrics=metrics)


def _curves(rng: np.random.Generator, gates: Sequence[str], seeds: int) -> pd.DataFrame:
    rows = []
    for index, gate in enumerate(gates):
        for seed in range(seeds):
            for epoch in range(1, int(rng.integers(12, 21)) + 1):
                fall = np.exp(-epoch / 4) * 4 + 0.05 * rng.random()
                found = {"train/loss": fall + 0.1, "val/loss": fall + 0.3 + 0.02 * index}
                found["gate/experts_per_example"] = 1 + (index % 8) + 7 * np.exp(-epoch / 3)
                found["gate/weight_change"] = 0.05 * np.exp(-epoch / 5) * (1 + rng.random())
                rows += [(gate, str(seed), epoch, m, v) for m, v in found.items()]
    return pd.DataFrame(rows, columns=["gate", "seed", "epoch", "metric", "value"])


def _weights(
    rng: np.random.Generator,
    gates: Sequence[str],
    seeds: int,
    names: Sequence[str],
    groups: Sequence[int] | None,
    experts: int,
) -> pd.DataFrame:
    rows = []
    for index, gate in enumerate(gates):
        for seed in range(seeds):
            order = rng.permutation(experts)
            for target, name in enumerate(names):
                group = np.nan if groups is None else groups[target]
                home = target if groups is None else groups[target]
                sharp = np.zeros(experts)
                sharp[[order[home % experts], order[(home + 1) % experts]]] = 6 / (1 + index)
                weights = np.exp(sharp + 0.4 * rng.standard_normal(experts))
                weights /= weights.sum()
                weights[weights < 0.02] = 0.0
                load = np.minimum(1.0, weights * 3)
                found = enumerate(zip(weights, load, strict=True))
                rows += [(gate, str(seed), name, group, e, w, u) for e, (w, u) in found]
    return pd.DataFrame(rows, columns=WEIGHT_COLUMNS)


def _importance(table: pd.DataFrame, gates: Sequence[str]) -> pd.DataFrame:
    rows = []
    for gate in gates:
        mine = table[table["gate"] == gate]
        names = [n for n in mine if "." in n and mine[n].nunique() > 1]
        shares = np.array([2.0**-i for i in range(len(names))])
        rows += [(gate, n, s) for n, s in zip(names, shares / shares.sum(), strict=True)]
    return pd.DataFrame(rows, columns=IMPORTANCE_COLUMNS)


def small() -> Review:
    return made()


def many_gates() -> Review:
    return made([f"gate_number_{i:02}" for i in range(16)], targets=4)


def many_targets() -> Review:
    return made(targets=128, groups=16, experts=16)


def running() -> Review:
    return made(running=True)


def one_dead() -> Review:
    return made(dead=["top_k"])


def empty() -> Review:
    """Return a review of a sweep that has only begun."""
    return made(trials=0, running=True)


SHAPES = {
    "small": small,
    "many_gates": many_gates,
    "many_targets": many_targets,
    "running": running,
    "one_dead": one_dead,
    "empty": empty,
}
