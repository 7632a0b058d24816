"""Missing runs: what a store no longer has of a sweep that has come to a whole end."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from gatelab.results.comparison.evidence import agreeing, counts
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import COUNTS, Artifacts

SELECTION = "gate/"
"""How the metrics begin that tell what an evaluation's gate selects; a constant has none."""


def missing(record: SweepRecord) -> Iterator[str]:
    """Yield a line for everything that the store has no longer of a sweep."""
    if record.run is None:
        yield (
            f"The run of {record.sweep} itself is not in the store: deleted there? "
            f"{again(record.sweep)}."
        )
        return
    if record.unread and record.run.end:
        yield (
            f"The files of {record.sweep} cannot be read from here: they lie in {record.unread}. "
            "What they alone have is missing: its spec, weights, and scores of very many targets."
        )
    if record.run.end == "finished":
        yield from _gates(record)
        yield from _trials(record)
        yield from _evaluations(record)


def without_weights(record: SweepRecord, shown: Collection[str]) -> Iterator[str]:
    """Yield a line for every gate that selects experts and of which no weights are shown.

    None where none are shown at all: a figure says so, and of a sweep that still runs.

    Args:
        record: The sweep's.
        shown: The gates whose weights could be read.
    """
    if not shown or record.run is None or record.run.end != "finished":
        return
    for run in (run for run in record.of("gate") if run.gate not in shown):
        evaluated = record.of("evaluate", run.gate)
        if any(key.startswith(SELECTION) for one in evaluated for key in one.metrics):
            yield (
                f"No weights of {run.gate} are shown: {Artifacts.WEIGHTS} of its run in "
                f"{record.sweep} is not in the store: deleted there? {again(record.sweep)}."
            )


def again(sweep: str) -> str:
    """Return what brings back the runs of a sweep that a store has lost."""
    return f"`gatelab resume {sweep} --redeliver` writes all of it again"


def _gates(record: SweepRecord) -> Iterator[str]:
    """Yield the gates whose own runs are gone, by which it is known what a gate is."""
    for gate in dict.fromkeys([*record.planned, *record.gates]):
        if not record.of("gate", gate):
            yield (
                f"The run of {gate} in {record.sweep} is not in the store: deleted there? What it "
                f"alone says is missing: its model, its counts of trials, and whether {gate} is a "
                f"baseline. {again(record.sweep)}."
            )


def _trials(record: SweepRecord) -> Iterator[str]:
    """Yield which gates have fewer trials than they count, where trials were read."""
    if not record.of("search"):
        return
    for run in (run for run in record.of("gate") if not run.row_of):  # whose gate counts them
        ended = sum(int(run.metrics.get(key, 0)) for key in COUNTS.values())
        yield from _fewer("trial", len(record.of("search", run.gate)), ended, run.gate, record)


def _evaluations(record: SweepRecord) -> Iterator[str]:
    params = record.run.params if record.run else {}
    sizes = [params.get(key, "") for key in ("evaluation.seeds", "evaluation.splits")]
    sizes.append(params.get("search.repeats", "1"))
    if not all(map(str.isdecimal, sizes)):
        return
    planned = math.prod(map(int, sizes))
    rows = {run.gate for run in record.of("gate") if run.row_of}
    for gate in (gate for gate in record.gates if gate not in rows):
        yield from _fewer("evaluation", len(record.of("evaluate", gate)), planned, gate, record)


def _fewer(what: str, found: int, due: int, gate: str, record: SweepRecord) -> Iterator[str]:
    if found < due:
        yield (
            f"{found} of {counts(what, [due])} of {gate} in {record.sweep} "
            f"{agreeing('is', 'are', found, due)} in the store: were others deleted there? "
            f"{again(record.sweep)}."
        )
