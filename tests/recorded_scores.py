"""Records of evaluations by gate, repeat, split and seed, as a sweep leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gatelab.tracking.runs import RunRecord, SweepRecord

Score = tuple[str, int, int, int, Mapping[str, float]]
"""Gate, repeat, split, seed, and metrics."""


def recorded(
    scores: Iterable[Score],
    roles: Mapping[str, str] | None = None,
    hardens: Iterable[str] = (),
    **tags: str,
) -> SweepRecord:
    """Return the record of a sweep; each evaluation has these tags too."""
    found, roles, hardens = list(scores), roles or {}, set(hardens)
    head = {"stage": "sweep", "end": "finished", "metrics.higher": "accuracy,auroc"}
    runs = [RunRecord("s", "s", "FINISHED", {}, {}, head)]
    for gate in dict.fromkeys(gate for gate, *_ in found):
        declared = {"stage": "gate", "gate": gate, "end": "finished"}
        declared |= {"role": roles.get(gate, "gate"), "hardens": "yes" if gate in hardens else "no"}
        runs.append(RunRecord("g", "g", "FINISHED", {"gate": gate}, {}, declared))
    for gate, repeat, split, seed, metrics in found:
        own = {"stage": "evaluate", "gate": gate, "end": "finished", "seed": str(seed), **tags}
        own |= {"repeat": str(repeat), "split_seed": str(split)}
        runs.append(RunRecord("e", "e", "FINISHED", {}, metrics, own))
    return SweepRecord("s", tuple(runs))
