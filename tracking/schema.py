"""The schema: every name under which a sweep is recorded, and by which it is read again."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("gatelab_runs")
"""Beside the user's work: the store, and a folder for each sweep."""
STAGES = ("sweep", "gate", "search", "evaluate")
"""What a run is of: the sweep, one gate of it, one of its trials, one of its evaluation's seeds."""
ENDS = {"finished": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
"""How a run of ours ends, and what MLflow calls that."""
COUNTS = {end: f"search/{end}" for end in ENDS}
"""How many trials of a gate ended so: with the gate's run, so that nobody need read the trials."""


class Tags:
    """What says of a run what it is."""

    SWEEP, STAGE, TASK, GATE = "sweep", "stage", "task", "gate"
    GATES = "gates"
    """Of the sweep's run: its gates in the spec's order, with commas."""
    SEED, TRIAL = "seed", "trial"
    END, END_REASON, END_EPOCH = "end", "end.reason", "end.epoch"
    FAILURES = "search.reasons"
    """Of a gate's run: why its trials failed, with counts, in JSON."""
    DATA = "data"
    """The fingerprint of the task's train and val splits."""
    COMMIT = "git.commit"
    VERSION, MACHINE = "version.", "machine."
    """How the tags begin that name versions of packages, and the driver's machine."""
    DESCRIPTION = "mlflow.note.content"
    """Whose Markdown MLflow shows above a run."""


class Metrics:
    """The keys that more than one place names; training makes those by target and by metric."""

    TRAIN_LOSS, VAL_LOSS, TEST_LOSS = "train/loss", "val/loss", "test/loss"
    OBJECTIVE = "objective"
    """What the search minimises: the lowest validation loss."""
    TRAIN_SECONDS = "time/train_seconds"
    PARAMETERS, GATE_PARAMETERS = "model/parameters", "model/gate_parameters"
    IMPORTANCE, DEVIATION = "importance/", "std/"
    """How keys begin that tell a hyperparameter's importance, and a deviation over seeds."""


class Artifacts:
    """The files of runs."""

    SPEC = "spec.yaml"
    WEIGHTS = "weights.csv"
    """Of a gate: mean weight and load of every expert, by seed and target."""
    REPORT = "report.html"
    COMPARISON_CSV, COMPARISON_JSON = "comparison.csv", "comparison.json"


LOWER_IS_BETTER = ("loss", "mse", "mae", "rmse", "error")
"""How the names of metrics end of which less is better."""


def has_direction(metric: str) -> bool:
    """Return whether more of a metric is better or worse: not so for what gates do."""
    return metric.startswith(("test/", "val/"))


def lower_is_better(metric: str) -> bool:
    """Return whether less of a metric is better, by the end of its key."""
    return metric.rpartition("/")[2].endswith(LOWER_IS_BETTER)
