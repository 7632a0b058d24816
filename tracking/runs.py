"""The runs of a sweep, as a comparison reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STAGES = ("sweep", "gate", "search", "evaluate")
COUNTS = {end: f"search/{end}" for end in ("finished", "pruned", "failed")}
"""How many trials of a gate ended so: with the gate's run, so that nobody need read the trials."""


@dataclass(frozen=True)
class RunRecord:
    """One run."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """The last value of each."""
    tags: Mapping[str, str]

    @property
    def stage(self) -> str:
        """``sweep``, ``gate``, ``search`` or ``evaluate``; anything else is not ours."""
        return self.tags.get("stage", "")

    @property
    def gate(self) -> str:
        """The gate's name in the spec."""
        return self.tags.get("gate", "")

    @property
    def end(self) -> str:
        """``finished``, ``pruned`` or ``failed``; empty while it runs."""
        return self.tags.get("end", "")


@dataclass(frozen=True)
class SweepRecord:
    """The runs of a sweep: all of them, or all but the trials."""

    sweep: str
    runs: tuple[RunRecord, ...] = ()
    ignored: int = 0
    """Runs in its experiment that no sweep wrote; of very many not all are counted."""
    uri: str = ""
    """MLflow's tracking URI of the store it was read from."""

    def of(self, stage: str, gate: str | None = None) -> list[RunRecord]:
        """Return the runs of a stage, of one gate or of all."""
        return [r for r in self.runs if r.stage == stage and gate in (None, r.gate)]

    @property
    def run(self) -> RunRecord | None:
        """The sweep's own run."""
        return next(iter(self.of("sweep")), None)

    @property
    def running(self) -> bool:
        """Whether the sweep has not come to its end."""
        return self.run is None or not self.run.end

    @property
    def gates(self) -> list[str]:
        """The gates' names, in the spec's order."""
        named = self.run.tags.get("gates", "").split(",") if self.run else []
        found = dict.fromkeys(r.gate for r in self.runs if r.gate)
        return [gate for gate in named if gate in found] + [g for g in found if g not in named]
