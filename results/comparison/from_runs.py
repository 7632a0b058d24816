"""How a comparison is made from the records of sweeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gatelab.results.comparison.best_trials import objective
from gatelab.results.comparison.budgets import budget
from gatelab.results.comparison.comparison import KEY_STARTS, Comparison, rank
from gatelab.results.comparison.conditions import conditions
from gatelab.results.comparison.merging import directions_of, side_by_side
from gatelab.results.comparison.pooling import pooled, sweep_titles
from gatelab.results.comparison.scores import Score, Test, paired_tests
from gatelab.results.comparison.statistics import mean_interval
from gatelab.results.comparison.subjects import ROLES, Subject, family, subject
from gatelab.results.comparison.units import ByUnit, units
from gatelab.tracking.runs import RunRecord, SweepRecord


def compare_runs(*records: SweepRecord) -> Comparison:
    """Compare the gates of a sweep, or of several on one task, by their finished evaluation runs.

    Sweeps that differ only in the search seed or the split become one, others stand side by side.
    Holm's correction is over the family of pairs within one metric.
    """
    pools = pooled(records)
    counted = units(list(pools.values()))
    gates, subjects = _in_order(side_by_side(pools))
    values = {
        title: _shown(counted.values(record.of("evaluate", gate)))
        for title, (record, gate) in gates.items()
    }
    sweeps = tuple(map(conditions, records))
    return Comparison(
        ", ".join(sweep_titles(records)),
        next((sweep.task for sweep in sweeps if sweep.task), ""),
        tuple(gates),
        _scores(values, counted.test_to_train),
        _tests(values, subjects, counted.test_to_train),
        tuple(budget(record, gate, title) for title, (record, gate) in gates.items()),
        sweeps,
        directions_of(records),
        subjects,
        counted.name,
        counted.repeats,
        counted.splits,
        counted.test_to_train,
        _configurations(gates),
    )


def _configurations(
    gates: Mapping[str, tuple[SweepRecord, str]],
) -> dict[str, Mapping[str, str]]:
    """Return what was selected of each gate, where anything was: of several sweeps in the best."""
    found = {}
    for title, (record, gate) in gates.items():
        higher = record.directions.of(record.objective) > 0
        declared = sorted(record.of("gate", gate), key=lambda run: _cost(run, higher=higher))
        runs = (*declared, *record.of("evaluate", gate))
        found[title] = next((run.configuration for run in runs if run.configuration), {})
    return {title: values for title, values in found.items() if values}


def _cost(run: RunRecord, *, higher: bool) -> tuple[bool, float]:
    """Return what a gate's evaluation came to by the rule of the search, less is better."""
    value = objective(run)
    return run.broken, math.inf if math.isnan(value) else -value if higher else value


def _in_order(
    gates: Mapping[str, tuple[SweepRecord, str]],
) -> tuple[dict[str, tuple[SweepRecord, str]], tuple[Subject, ...]]:
    """Return gates before their rows before baselines before ceilings, and what each is."""
    found = [subject(record, gate, title) for title, (record, gate) in gates.items()]
    subjects = tuple(sorted(found, key=lambda one: ROLES.index(one.role)))
    return {one.gate: gates[one.gate] for one in subjects}, subjects


def _shown(values: ByUnit) -> ByUnit:
    return {metric: found for metric, found in values.items() if metric.startswith(KEY_STARTS)}


def _metrics(values: Mapping[str, ByUnit]) -> list[str]:
    return sorted({metric for found in values.values() for metric in found}, key=rank)


def _scores(values: Mapping[str, ByUnit], test_to_train: float) -> tuple[Score, ...]:
    return tuple(
        Score(
            gate,
            metric,
            len(found),
            *mean_interval(list(found.values()), test_to_train=test_to_train),
            found,
        )
        for metric in _metrics(values)
        for gate in values
        if (found := values[gate].get(metric))
    )


def _tests(
    values: Mapping[str, ByUnit], subjects: Sequence[Subject], test_to_train: float
) -> tuple[Test, ...]:
    tested = {s.gate: values[s.gate] for s in subjects if s.tested}
    pairs = family(subjects)
    return tuple(
        test
        for metric in _metrics(tested)
        if metric.startswith("test/")
        for test in paired_tests(
            metric,
            {gate: v[metric] for gate, v in tested.items() if metric in v},
            pairs,
            test_to_train,
        )
    )
