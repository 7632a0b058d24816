"""Conditions: what a sweep was run on and under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gatelab.results.comparison.budgets import budget
from gatelab.tracking.masking import masked
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Tags

SPLIT_OPTION = "split_seed"
"""Of a task: by which its rows are moved between splits."""
PLACE_OPTION = "path"
"""Of a task: where its file lies, which is another place on another machine."""
SETTINGS = ("search.", "training.", "evaluation.", "optimizer.")
"""How the params of a sweep's run begin that make its budget."""


@dataclass(frozen=True)
class Conditions:
    """What must be the same in two sweeps for their gates to be compared fairly."""

    sweep: str
    uri: str
    """Of its store, without password."""
    task: str
    options: Mapping[str, str]
    """Of the task."""
    data: str
    """The fingerprint of the task's data; empty where none is recorded."""
    gates: Mapping[str, str]
    """Keys in the registry, by the gates' names in the sweep."""
    model: Mapping[str, str]
    """What all gates have in common of it."""
    settings: Mapping[str, str]
    """Of search, training and evaluation, by the spec's names."""
    seeds: tuple[str, ...]
    """Those that any gate was evaluated on."""
    trials: int
    """How many have ended."""
    searched: int
    """How many gates have a search; a constant prediction has none."""
    evaluated: int
    """How many gates have a finished evaluation run."""
    running: bool
    """Whether results are still to come."""
    ignored: int
    """Runs in its experiment that no sweep wrote."""
    before: tuple[str, ...] = ()
    """The finished sweeps that it goes on from, the first first."""


def conditions(record: SweepRecord) -> Conditions:
    """Return the conditions of a sweep."""
    params = record.run.params if record.run else {}
    rows = {run.gate for run in record.of("gate") if run.row_of}
    budgets = [budget(record, gate, gate) for gate in record.gates if gate not in rows]
    finished = [run for run in record.of("evaluate") if run.end == "finished"]
    return Conditions(
        record.sweep,
        masked(record.uri),
        task_of(record),
        options_of(record),
        data_of(record),
        {run.gate: _key(run) for run in record.of("gate") if run.gate not in rows},
        _model(record),
        {key: value for key, value in params.items() if key.startswith(SETTINGS)},
        tuple(sorted({run.seed for run in finished}, key=lambda seed: (len(seed), seed))),
        sum(one.trials for one in budgets),
        sum(one.searched for one in budgets),
        len({run.gate for run in finished} - rows),
        record.running and not _complete(record),
        record.ignored,
        record.before,
    )


def _key(run: RunRecord) -> str:
    """Return a gate's key in the registry, with its learner's if it names one."""
    key, learner = run.params.get("gate", run.gate), run.params.get("learner")
    return f"{key} by {learner}" if learner else key


def task_of(record: SweepRecord) -> str:
    """Return the name of a sweep's task."""
    return next((run.tags[Tags.TASK] for run in record.runs if Tags.TASK in run.tags), "")


def options_of(record: SweepRecord) -> dict[str, str]:
    """Return the options of a sweep's task, as far as they are recorded."""
    params = record.run.params if record.run else {}
    named = {k.removeprefix("task."): v for k, v in params.items() if k.startswith("task.")}
    return dict(sorted(named.items()))


def data_of(record: SweepRecord) -> str:
    """Return the fingerprint of a sweep's data; empty where none is recorded."""
    return record.run.tags.get(Tags.DATA, "") if record.run else ""


def _model(record: SweepRecord) -> dict[str, str]:
    """Return the model's hyperparameters that are the same for all gates: not searched."""
    runs = [run.configuration for run in record.of("gate")]
    runs = [{k: v for k, v in p.items() if k.startswith("model.")} for p in runs]
    runs = [params for params in runs if params]  # a gate has them once it is evaluated
    if not runs:
        return {}
    return {k: v for k, v in runs[0].items() if all(p.get(k) == v for p in runs)}


def _complete(record: SweepRecord) -> bool:
    """Return whether every gate has come to its end, even if the sweep's run has not."""
    ended = {run.gate for run in record.of("gate") if run.end}
    return bool(ended) and ended >= {*record.planned, *record.gates}
