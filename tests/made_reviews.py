"""Reviews made by hand, of the shapes that a report must bear."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from gatelab.results.comparison import compare_runs
from gatelab.results.review import (
    IMPORTANCE_COLUMNS,
    TARGET_COLUMNS,
    TRIAL_COLUMNS,
    WEIGHT_COLUMNS,
    Review,
    target_table,
)
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
}
MADE = ("dselect_k", "top_k", "softmax")
WHOLE = ("dselect_k", "top_k", "softmax", "top_k.k1", "top_k.k4", "single", "random_k", "constant")
ROWS = {"top_k.k1": 0.03, "top_k.k4": -0.015}
"""How far the test loss of the best at one k is from its gate's."""
ROLES = {"single": "baseline", "random_k": "baseline", "constant": "baseline", "oracle": "ceiling"}


def made(
    gates: Sequence[str] = MADE,
    targets: int = 2,
    *,
    groups: int | None = None,
    experts: int = 8,
    seeds: int = 5,
    repeats: int = 1,
    splits: int = 1,
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
        repeats: Of the search.
        splits: On which every seed is evaluated.
        trials: Of each gate's search.
        running: Whether it has not come to the evaluation.
        dead: Gates whose every trial failed.
    """
    rng = np.random.default_rng(0)
    names = [f"target_{i}" for i in range(targets)]
    alive = [gate for gate in gates if gate not in dead]
    searched = [gate for gate in gates if gate != "constant" and ".k" not in gate]
    table = _trials(rng, searched, dead, trials, repeats)
    evaluated = [] if running else alive
    trained = [gate for gate in evaluated if gate != "constant"]
    runs = [_run("sweep", end="" if running else "finished", gates=",".join(gates))]
    runs[0] = replace(
        runs[0], params=PARAMS, tags={**runs[0].tags, **PROVENANCE, "metrics.higher": "accuracy"}
    )
    for gate in gates:
        runs += _search_runs(gate, table[table["gate"] == gate], gate in evaluated)
    for index, gate in enumerate(evaluated):
        for seed in range(seeds * repeats):  # every repeat has seeds of its own
            tags = {"repeat": str(seed // seeds)} if repeats > 1 else {}
            for split in range(splits):
                tags |= {"split_seed": str(split), "test_to_train": "0.25"} if splits > 1 else {}
                runs.append(_seed_run(rng, gate, index, seed, names, tags))
    runs = [_configured(run, runs) for run in runs]
    record = SweepRecord("made", tuple(runs), uri="sqlite:///made.db", spec=SPEC)
    planted = None if groups is None else [i % groups for i in range(targets)]
    return Review(
        compare_runs(record),
        record,
        table,
        _curves(rng, trained, seeds),
        _weights(rng, trained, seeds, names, planted, experts),
        _importance(table, evaluated),
        target_table(record) if targets <= 16 else _targets(rng, evaluated, seeds, names),
    )


def _run(stage: str, gate: str = "", end: str = "finished", **tags: str) -> RunRecord:
    tags = {"stage": stage, "gate": gate, "task": "synthetic_groups", "sweep": "made", **tags}
    numbers = (tags.get(tag, "") for tag in ("seed", "split_seed", "repeat", "trial"))
    named = f"{stage}-{gate}-{'-'.join(filter(None, numbers))}"
    return RunRecord(named, named, "FINISHED", {}, {}, {**tags, "end": end} if end else tags)


def _trials(
    rng: np.random.Generator, gates: Sequence[str], dead: Sequence[str], trials: int, repeats: int
) -> pd.DataFrame:
    rows = []
    for gate in gates:
        for number, repeat in product(range(trials), range(repeats)):
            end = "failed" if gate in dead else rng.choice(["finished", "pruned"], p=[0.4, 0.6])
            rate, gamma = 10 ** rng.uniform(-4, -1.5), 10 ** rng.uniform(-2, 1)
            row = {"gate": gate, "repeat": str(repeat), "number": number, "end": str(end)}
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
    finished = table[table["end"] == "finished"].sort_values("objective").head(1)
    chosen = _configuration(finished.to_dict("records")[0]) if len(finished) else {}
    dead = len(table) > 0 and finished.empty
    reason = f"no trial finished: {REASON}" if dead else "evaluated"
    end = "failed" if dead else "finished" if evaluated else ""
    tags = {"role": ROLES.get(gate, "gate"), **({"end.reason": reason} if end else {})}
    metrics = {"gate/seed_agreement": 0.75} if evaluated and gate != "constant" else {}
    if ".k" in gate:
        tags["row_of"], _, k = gate.partition(".k")
        chosen = {"gate.k": k, "optimizer.learning_rate": "0.001"}
        metrics |= {"search/finished": 4.0, "search/pruned": 3.0, "search/failed": 0.0}
    run = _run("gate", gate, end, **tags)
    runs = [replace(run, params={"gate": gate, **(chosen if evaluated else {})}, metrics=metrics)]
    for row in table.to_dict("records"):
        why = {"end.reason": REASON} if row["end"] == "failed" else {}
        why |= {
            "trial": str(row["number"]),
            "repeat": row["repeat"],
            "end.epoch": str(row["epoch"]),
        }
        scores = {} if row["end"] == "failed" else {"objective": row["objective"]}
        trial = _run("search", gate, row["end"], **why)
        runs.append(replace(trial, params=_configuration(row), metrics=scores))
    return runs


def _configured(run: RunRecord, runs: Sequence[RunRecord]) -> RunRecord:
    """Return an evaluation's run with the best configuration of its repeat."""
    trials = [r for r in runs if (r.stage, r.gate, r.end) == ("search", run.gate, "finished")]
    trials = [trial for trial in trials if trial.repeat == run.repeat]
    if run.stage != "evaluate" or not trials:
        return run
    best = min(trials, key=lambda trial: trial.metrics["objective"])
    return replace(run, params={"gate": run.gate, **best.params})


def _configuration(row: dict[Hashable, object]) -> dict[str, str]:
    found = {str(name): value for name, value in row.items() if "." in str(name)}
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in found.items()
        if not pd.isna(value)
    }


def _seed_run(
    rng: np.random.Generator,
    gate: str,
    index: int,
    seed: int,
    names: Sequence[str],
    tags: Mapping[str, str],
) -> RunRecord:
    index = 1 if ".k" in gate else index
    loss = (
        0.30
        + 0.02 * index
        + ROWS.get(gate, 0.0)
        + 0.02 * np.sin(seed)
        + 0.008 * rng.standard_normal()
    )
    metrics = {"test/loss": loss, "test/mean/accuracy": 1 - loss / 6}
    if len(names) <= 16:
        for name in names:
            metrics[f"test/{name}/loss"] = loss / len(names) + 0.005 * rng.standard_normal()
            metrics[f"test/{name}/accuracy"] = 1 - loss / 6 + 0.005 * rng.standard_normal()
    run = _run("evaluate", gate, seed=str(seed), **tags)
    if gate == "constant":  # it has no experts, and nothing to train
        return replace(run, metrics=metrics)
    for name in ("entropy", "load_cv2", "jaccard", "jaccard_gap", "f1", "dead_experts"):
        metrics[f"gate/{name}"] = rng.random()
    used = float(gate.partition(".k")[2] or 1 + index % 8)
    metrics["gate/experts_per_example"] = used + 0.2 * rng.random()
    metrics["gate/experts_per_row"] = min(8.0, 1.5 * metrics["gate/experts_per_example"])
    metrics["time/train_seconds"] = 1.2 + 0.3 * index + 0.1 * rng.random()
    metrics["model/active_parameters"] = 20_000.0 + 3_000.0 * metrics["gate/experts_per_row"]
    metrics |= {"model/parameters": 51_210.0, "model/gate_parameters": 520.0 * (1 + index % 3)}
    return replace(run, metrics=metrics)


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


def _targets(
    rng: np.random.Generator, gates: Sequence[str], seeds: int, names: Sequence[str]
) -> pd.DataFrame:
    """Return scores by target as files have them, where targets are too many to be metrics."""
    rows = []
    for index, gate in enumerate(gates):
        for seed in range(seeds):
            for name in names:
                score = 0.9 - 0.01 * index + 0.01 * rng.standard_normal()
                rows += [(gate, str(seed), name, "accuracy", score)]
                rows += [(gate, str(seed), name, "loss", 1 - score)]
    return pd.DataFrame(rows, columns=TARGET_COLUMNS)


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


def whole() -> Review:
    """Return a review with gates of every role, and several searches and splits."""
    return made(WHOLE, repeats=3, splits=2, seeds=3)


def empty() -> Review:
    """Return a review of a sweep that has only begun."""
    return made(trials=0, running=True)


SHAPES = {
    "small": small,
    "many_gates": many_gates,
    "many_targets": many_targets,
    "running": running,
    "one_dead": one_dead,
    "whole": whole,
    "empty": empty,
}
