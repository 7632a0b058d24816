"""The tables of a report as numbers, for files that other programs read."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from gatelab.results.comparison.inference import pairwise
from gatelab.results.comparison.tuning import tuning
from gatelab.results.costs import costs
from gatelab.results.report.search_grids import selected_configurations
from gatelab.results.review import Review
from gatelab.tracking.schema import Metrics


def data_tables(review: Review) -> dict[str, pd.DataFrame]:
    """Return every table by the name of its file.

    ``scores`` holds all metrics by gate, ``pairs`` what can be said of pairs on the test loss,
    ``budgets`` and ``failures`` the search, ``selected`` the evaluated configurations, ``costs``
    time and parameters, ``tuning`` what each search gained, ``targets`` the scores of each target;
    the rest is what the figures are drawn from.
    """
    comparison = review.comparison
    known = Metrics.TEST_LOSS in comparison.metrics()
    found = {
        "scores": comparison.to_frame(),
        "pairs": pd.DataFrame(
            map(asdict, pairwise(comparison, Metrics.TEST_LOSS) if known else ())
        ),
        "budgets": _budgets(review),
        "failures": _failures(review),
        "selected": _selected(review),
        "costs": _costs(review),
        "trials": review.trials,
        "curves": review.curves,
        "weights": review.weights,
        "importance": review.importance,
        "targets": review.targets,
        "tuning": pd.DataFrame(map(asdict, tuning([review.record]))),
    }
    return {name: frame for name, frame in found.items() if len(frame)}


def _budgets(review: Review) -> pd.DataFrame:
    columns = ["gate", "finished", "pruned", "failed", "evaluated", "lost", "note"]
    rows = [[getattr(b, column) for column in columns] for b in review.comparison.budgets]
    return pd.DataFrame(rows, columns=columns)


def _failures(review: Review) -> pd.DataFrame:
    budgets = review.comparison.budgets
    rows = [(b.gate, why, count) for b in budgets for why, count in b.reasons.items()]
    return pd.DataFrame(rows, columns=["gate", "reason", "trials"])


def _costs(review: Review) -> pd.DataFrame:
    rows = [
        (gate, metric, unit, value)
        for metric, by_gate in costs(review.comparison).items()
        for gate, units in by_gate.items()
        for unit, value in units.items()
    ]
    return pd.DataFrame(rows, columns=["gate", "metric", review.comparison.unit, "value"])


def _selected(review: Review) -> pd.DataFrame:
    rows = [
        (gate, repeat, name, value)
        for gate in review.comparison.gates
        for repeat, chosen in selected_configurations(review.record, gate).items()
        for name, value in chosen.items()
    ]
    return pd.DataFrame(rows, columns=["gate", "repeat", "hyperparameter", "value"])
