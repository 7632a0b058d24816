"""What tuning bought: the objective of a gate's default configuration, and of the selected one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gatelab.results.comparison.best_trials import finished, objective, searched
from gatelab.results.comparison.tables import Grid, metric_title
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Tags


@dataclass(frozen=True)
class Tuning:
    """What one search of a gate gained on the gate's default configuration."""

    gate: str
    repeat: str
    """Of the search: with several sweeps its search seed and number."""
    metric: str
    """The objective's key."""
    default: float
    """Of the first trial, the best that it had; NaN where it failed."""
    default_end: str
    """How the first trial ended."""
    default_epoch: int | None
    """After which it ended, where it is recorded."""
    selected: float
    """Of the trial whose configuration was evaluated; NaN where none is known."""
    gain: float
    """How much better the selected one is: a share of the default's objective."""


def tuning(records: Sequence[SweepRecord]) -> list[Tuning]:
    """Return what each search gained, by gate and repeat, as far as its trials were read.

    Args:
        records: Of sweeps on one task, with their trials.
    """
    return [
        _tuning(record, gate, title, repeat)
        for title, (record, gate) in searched(records).items()
        for repeat in dict.fromkeys(run.repeat for run in record.of("search", gate))
    ]


def _tuning(record: SweepRecord, gate: str, title: str, repeat: str) -> Tuning:
    trials = [run for run in record.of("search", gate) if run.repeat == repeat]
    first, metric = min(trials, key=_number), record.objective
    end, epoch = first.end or "running", first.tags.get(Tags.END_EPOCH, "")
    default = math.nan if end == "failed" else objective(first)
    selected = _selected(record, gate, repeat, trials)
    value = objective(selected) if selected else math.nan
    direction = record.directions.of(metric)
    known = direction and default
    gain = direction * (value - default) / abs(default) if known else math.nan
    at = int(epoch) if epoch.isdecimal() else None
    return Tuning(title, repeat, metric, default, end, at, value, gain)


def _number(run: RunRecord) -> int:
    number = run.tags.get(Tags.TRIAL, "")
    return int(number) if number.isdecimal() else 0


def _selected(
    record: SweepRecord, gate: str, repeat: str, trials: Sequence[RunRecord]
) -> RunRecord | None:
    """Return the trial whose configuration was evaluated; it need not have the best objective.

    A gate that states a k must keep it to be selected. Of trials of one configuration, under other
    seeds, it is the best of those that kept it, or of all where none did.
    """
    evaluated = record.of("evaluate", gate)
    runs = [run for run in evaluated if run.repeat == repeat] if evaluated else []
    runs += [] if evaluated else record.of("gate", gate)
    chosen = next((run.configuration for run in runs if run.configuration), None)
    alike = [run for run in finished(record, trials) if run.configuration == chosen]
    return min(alike, key=lambda run: run.broken, default=None)


def tuning_grid(found: Sequence[Tuning]) -> Grid:
    """Return a row a gate: means over its searches, where there are several."""
    by_gate: dict[str, list[Tuning]] = {}
    for one in found:
        by_gate.setdefault(one.gate, []).append(one)
    metric = metric_title(found[0].metric)
    several = len(found) > len(by_gate)
    return Grid(
        "What tuning bought",
        ("gate", f"{metric} of the default", "its end", "of the selected", "better by"),
        [[gate, *_row(ones)] for gate, ones in by_gate.items()],
        "Default: the first trial of a search, which is the gate's default configuration; of a "
        "pruned one the best that it had until then. Both are from the validation split, by which "
        "the selected one was chosen." + (" Means over the repeats of a search." * several),
    )


def _row(ones: Sequence[Tuning]) -> list[str]:
    known = [one for one in ones if not math.isnan(one.gain)]
    gain = f"{100 * sum(one.gain for one in known) / len(known):.1f}%" if known else "-"
    defaults = [one.default for one in known or ones if not math.isnan(one.default)]
    selected = [one.selected for one in known or ones if not math.isnan(one.selected)]
    return [_mean(defaults), _ends(ones), _mean(selected), gain]


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4g}" if values else "-"


def _ends(ones: Sequence[Tuning]) -> str:
    """Return how the default configuration's trials ended."""
    counts = Counter(
        one.default_end
        if one.default_end != "pruned" or one.default_epoch is None
        else f"pruned at epoch {one.default_epoch}"
        for one in ones
    )
    if len(ones) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} × {end}" for end, count in counts.items())
