"""Budgets: what became of a gate's search and evaluation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import COUNTS, Metrics, Tags

WAITING = "not evaluated yet"


@dataclass(frozen=True)
class Budget:
    """What became of one gate's search and evaluation."""

    gate: str
    finished: int
    pruned: int
    failed: int
    evaluated: int
    """Seeds that finished, on every split and of every repeat."""
    lost: int
    """Those that failed."""
    reasons: Mapping[str, int]
    """Why trials failed."""
    note: str
    """Why there is no evaluation, or why seeds of it failed."""
    epochs: int | None = None
    """That all trials trained together, where it is recorded or the trials have been read."""
    searches: int = 1
    """How often the gate was to be searched."""
    fruitless: int = 0
    """Searches of which no trial finished, where another's was evaluated."""

    @property
    def trials(self) -> int:
        """All trials that ended."""
        return self.finished + self.pruned + self.failed

    @property
    def searched(self) -> bool:
        """Whether there is or will be a search: what was evaluated without one has none."""
        return self.trials > 0 or not self.evaluated + self.lost


def budget(record: SweepRecord, gate: str, title: str) -> Budget:
    """Return a gate's budget under its title in a comparison."""
    ends, reasons = _search(record, gate)
    seeds = record.of("evaluate", gate)
    evaluated = sum(run.end == "finished" for run in seeds)
    failures = [run for run in seeds if run.end == "failed"]
    ended = [] if evaluated else record.of("gate", gate)
    note = _first_reason([*ended, *failures])
    searches = _searches(record)
    return Budget(
        title,
        ends["finished"],
        ends["pruned"],
        ends["failed"],
        evaluated,
        len(failures),
        reasons,
        note if note or evaluated else WAITING,
        _epochs(record, gate),
        searches,
        _fruitless(record, gate, searches),
    )


def _search(record: SweepRecord, gate: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return ends and reasons of failures: as the gate's runs count them, or by its trials.

    Of sweeps that were pooled a gate has several runs.
    """
    runs = record.of("gate", gate)
    if runs and all(key in run.metrics for run in runs for key in COUNTS.values()):
        ends = {end: sum(int(run.metrics[key]) for run in runs) for end, key in COUNTS.items()}
        return ends, dict(sum((Counter(_reasons(run)) for run in runs), Counter()))
    trials = record.of("search", gate)
    failed = [run.end_reason for run in trials if run.end == "failed"]
    return Counter(run.end for run in trials), dict(Counter(failed))


def _searches(record: SweepRecord) -> int:
    """Return how often each gate was to be searched: 1 in each sweep where it is not recorded."""
    counts = [run.params.get("search.repeats", "") for run in record.of("sweep")]
    return sum(int(count) if count.isdecimal() else 1 for count in counts)


def _fruitless(record: SweepRecord, gate: str, searches: int) -> int:
    """Return after how many searches nothing was evaluated of a gate that is over, in part.

    Of a row there need be none: a search may have tried no configuration with its k.
    """
    runs = record.of("gate", gate)
    over = bool(runs) and all(run.end and not run.row_of for run in runs)
    followed = {run.repeat for run in record.of("evaluate", gate)}
    return max(0, searches - len(followed)) if over and followed else 0


def _epochs(record: SweepRecord, gate: str) -> int | None:
    """Return how many epochs the trials trained: as the gate's runs count them, or by each."""
    counted = [run.metrics.get(Metrics.SEARCH_EPOCHS) for run in record.of("gate", gate)]
    if counted and None not in counted:
        return sum(int(epochs) for epochs in counted if epochs is not None)
    spent = [run.tags.get(Tags.END_EPOCH, "") for run in record.of("search", gate) if run.end]
    return sum(map(int, spent)) if spent and all(map(str.isdecimal, spent)) else None


def _reasons(run: RunRecord) -> Mapping[str, int]:
    """Return why trials failed; nothing where the tag was cut off, as MLflow cuts long ones."""
    try:
        return {
            str(why): int(n) for why, n in json.loads(run.tags.get(Tags.FAILURES, "{}")).items()
        }
    except (ValueError, AttributeError):
        return {}


def _first_reason(runs: Sequence[RunRecord]) -> str:
    reasons = (run.end_reason for run in runs)
    return next((reason for reason in reasons if reason), "")
