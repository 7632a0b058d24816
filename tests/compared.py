"""Comparisons of gates by losses that a test gives, as baselines, ceilings and rows too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.tracking.runs import RunRecord, SweepRecord

LOSS = "test/loss"
LOW, MIDDLE, HIGH = (
    [0.10, 0.11, 0.13, 0.12],
    [0.205, 0.212, 0.228, 0.222],
    [0.301, 0.309, 0.335, 0.318],
)
ROLE = {name: "baseline" for name in ("single", "random_k", "constant", "mine")}
ROLE |= {"oracle": "ceiling", "odd": "nothing that there is"}
ROUGH = [0.12, 0.10, 0.14, 0.11]
"""About as good as ``LOW``."""


def compared(
    losses: Mapping[str, Sequence[float]],
    *,
    k: str = "",
    extra: Mapping[str, Sequence[float]] | None = None,
    metric: str = LOSS,
    counts: Mapping[str, float] | None = None,
    hardens: Sequence[str] = (),
    rows: Mapping[str, str] | None = None,
    splits: int = 1,
    **tags: str,
) -> Comparison:
    """Compare gates by their losses on seeds, the first with other metrics and a k."""
    found = {"metrics.higher": "r2", "stage": "sweep", "end": "finished"}
    runs = [RunRecord("s", "s", "FINISHED", {}, {}, found)]
    for gate, values in losses.items():
        mine = extra if extra and gate == next(iter(losses)) else {}
        params = {"gate": gate} | ({"gate.k": k} if k else {})
        found = {"stage": "gate", "gate": gate, "end": "finished", "role": ROLE.get(gate, "gate")}
        found |= {"hardens": "yes"} if gate in hardens else {}
        found |= {"row_of": rows[gate]} if gate in (rows or {}) else {}
        runs.append(RunRecord("g", "g", "FINISHED", params, counts or {}, found))
        for index, value in enumerate(values):
            scores = {metric: value, **{name: x[index] for name, x in mine.items()}}
            found = {"stage": "evaluate", "gate": gate, "seed": str(index // splits)}
            found |= {"end": "finished", "split_seed": str(index % splits), **tags}
            runs.append(RunRecord("e", "e", "FINISHED", {}, scores, found))
    return compare_runs(SweepRecord("s", tuple(runs)))
