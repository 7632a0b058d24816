"""A review: all that a report on a sweep is made of, read from its record alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pandas as pd

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.best_trials import objective
from gatelab.results.comparison.units import units as units_of
from gatelab.results.recorded_tables import recorded_table
from gatelab.tracking.mlflow_read import history, read_sweep, with_spec
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Artifacts, Metrics, Tags

CURVES = (Metrics.TRAIN_LOSS, Metrics.VAL_LOSS, "gate/experts_per_example", "gate/weight_change")
"""Metrics of which a report shows the course over the epochs."""
TRIAL_COLUMNS = ["gate", "repeat", "number", "end", "epoch", "objective"]
CURVE_COLUMNS = ["gate", "seed", "epoch", "metric", "value"]
WEIGHT_NAMES = {name: str for name in ("seed", "target", "split_seed", "repeat")}
"""The columns of weights that are names, though they may look like numbers."""
TARGET_NAMES = {"target": str}
WEIGHT_COLUMNS = ["gate", "seed", "target", "group", "expert", "weight", "load"]
TARGET_COLUMNS = ["gate", "seed", "target", "metric", "value"]
KEEPS_K = "; of a gate that states k, weights that keep to it come first"
IMPORTANCE_COLUMNS = ["gate", "hyperparameter", "importance"]


@dataclass(frozen=True)
class Review:
    """A sweep's comparison, and tables of what lies behind it."""

    comparison: Comparison
    record: SweepRecord
    """With all trials, and the spec."""
    trials: pd.DataFrame
    """Search: ``gate, repeat, number, end, epoch, objective``, and a column a hyperparameter.

    ``objective`` is the best that the trial had, of a pruned one until then. Hyperparameters are
    named as in the spec (``gate.gamma``, ``optimizer.learning_rate``); numbers are numbers.
    """
    curves: pd.DataFrame
    """Evaluation: ``gate, seed, epoch, metric, value`` for the metrics of ``CURVES``."""
    weights: pd.DataFrame
    """Evaluation: ``gate, seed, target, group, expert, weight, load``.

    ``weight`` is the mean over the test split, ``load`` the share of its examples that use the
    expert, ``group`` the target's planted group, or NaN.
    """
    importance: pd.DataFrame
    """Search: ``gate, hyperparameter, importance``, which add up to 1 in a gate."""
    targets: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=TARGET_COLUMNS))
    """Evaluation: ``gate, seed, target, metric, value`` on the test split, losses among them.

    ``seed`` is what the comparison counts, which may be a split or a repeat, and ``value`` what it
    has of it: the mean over its cells.
    """

    @property
    def sought(self) -> str:
        """Which epoch of a training is kept, and which trial of a search: that with what."""
        key = self.record.objective
        if key == Metrics.VAL_LOSS:
            found = "the lowest validation loss of the task alone"
        else:
            extremes = {1: "highest", -1: "lowest"}
            found = f"the {extremes.get(self.record.directions.of(key), 'best')} {key}"
        return f"{found}{KEEPS_K}" if self._requires_k else found

    @property
    def _requires_k(self) -> bool:
        """Whether any gate states how many experts an example may use, and has to keep to it."""
        params = self.record.run.params if self.record.run else {}
        required = params.get("search.require", "False") != "False"
        return required and Metrics.AT_MOST_K in self.comparison.metrics()


def read_review(uri: str, sweep: str) -> Review:
    """Read a sweep from its record.

    Raises:
        LookupError: If the store knows no such sweep.
    """
    record = with_spec(read_sweep(uri, sweep, trials=True))
    return Review(
        compare_runs(record),
        record,
        _trials(record),
        _curves(uri, record),
        _weights(uri, record),
        _importance(record),
        target_table(record, uri),
    )


def _trials(record: SweepRecord) -> pd.DataFrame:
    rows = [
        {
            "gate": run.gate,
            "repeat": run.repeat,
            "number": int(run.tags.get(Tags.TRIAL, -1)),
            "end": run.end or "running",
            "epoch": int(run.tags.get(Tags.END_EPOCH, 0)),
            "objective": objective(run),
            **{name: _value(text) for name, text in run.configuration.items()},
        }
        for run in record.of("search")
    ]
    searched = {name for row in rows for name in row} - {*TRIAL_COLUMNS}
    frame = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *sorted(searched)])
    return frame.sort_values(["gate", "repeat", "number"], ignore_index=True)


def _curves(uri: str, record: SweepRecord) -> pd.DataFrame:
    rows = []
    for run in record.of("evaluate"):
        last = int(
            run.tags.get(Tags.END_EPOCH, 10**9)
        )  # after it stands what the best weights gave
        for metric in (metric for metric in CURVES if metric in run.metrics):
            points = history(uri, run.run_id, metric)
            rows += [(run.gate, run.seed, e, metric, v) for e, v in points if e <= last]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _weights(uri: str, record: SweepRecord) -> pd.DataFrame:
    tables = []
    for run in record.of("gate"):
        table = recorded_table(uri, run, Artifacts.WEIGHTS, WEIGHT_NAMES)
        if table is not None:
            tables.append(_seeds_named(table))
            tables[-1].insert(0, "gate", run.gate)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=WEIGHT_COLUMNS)


def _seeds_named(table: pd.DataFrame) -> pd.DataFrame:
    """Return weights whose seeds say their split and repeat, where there are several."""
    for column, word in (("split_seed", "split"), ("repeat", "repeat")):
        if column in table:
            values = table.pop(column)
            if values.nunique() > 1:
                table["seed"] += f", {word} " + values
    return table


def target_table(record: SweepRecord, uri: str = "") -> pd.DataFrame:
    """Return what every gate scores on every target, from metrics, of many targets from files.

    Args:
        record: Of the sweep.
        uri: MLflow's tracking URI, for files; empty: there are none to be read.
    """
    units = units_of([record])
    runs = [_of_targets(uri, run) for run in record.of("evaluate") if run.end == "finished"]
    rows = [
        (gate, unit, *metric.rsplit("/", 1), value)
        for gate in dict.fromkeys(run.gate for run in runs)
        for metric, values in units.values([run for run in runs if run.gate == gate]).items()
        for unit, value in values.items()
    ]
    return _defined(pd.DataFrame(rows, columns=TARGET_COLUMNS))


def _defined(table: pd.DataFrame) -> pd.DataFrame:
    """Return scores by target without the metrics that a target has not, or no seed defines."""
    count = table.groupby(["target", "metric"])["value"].transform("count")
    return table[count > 0].reset_index(drop=True)


def _of_targets(uri: str, run: RunRecord) -> RunRecord:
    """Return an evaluation's run with no metrics but those of its targets, by ``target/metric``."""
    return replace(
        run, metrics={f"{t}/{metric}": value for t, metric, value in _by_target(uri, run)}
    )


def _by_target(uri: str, run: RunRecord) -> Iterator[tuple[str, str, float]]:
    keys = [key.split("/") for key in run.metrics if key.startswith("test/")]
    few = [key for key in keys if len(key) == 3 and key[1] != "mean"]
    for _, target, metric in few:
        yield target, metric, run.metrics[f"test/{target}/{metric}"]
    many = not few and any(key[1] == "mean" for key in keys)
    table = recorded_table(uri, run, Artifacts.TARGETS, TARGET_NAMES) if many and uri else None
    if table is not None:
        for row in table.to_dict("records"):
            target = str(row.pop("target"))
            yield from ((target, str(metric), float(value)) for metric, value in row.items())


def _importance(record: SweepRecord) -> pd.DataFrame:
    start = Metrics.IMPORTANCE
    rows = [
        (run.gate, metric.removeprefix(start), value)
        for run in record.of("gate")
        for metric, value in run.metrics.items()
        if metric.startswith(start)
    ]
    return pd.DataFrame(rows, columns=IMPORTANCE_COLUMNS)


def _value(text: str) -> float | str:
    """Return a param as the number that it is, or as it stands."""
    try:
        return float(text)
    except ValueError:
        return text
