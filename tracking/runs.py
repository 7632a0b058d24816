"""The runs of a sweep, as a comparison reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from gatelab.tracking.schema import Directions, Metrics, Tags


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
    started: float = 0.0
    """Seconds since 1970, as ``ended``; 0 where it is not known."""
    ended: float = 0.0

    @property
    def stage(self) -> str:
        """``sweep``, ``gate``, ``search`` or ``evaluate``; anything else is not ours."""
        return self.tags.get(Tags.STAGE, "")

    @property
    def gate(self) -> str:
        """The gate's name in the spec."""
        return self.tags.get(Tags.GATE, "")

    @property
    def end(self) -> str:
        """``finished``, ``pruned`` or ``failed``; empty while it runs."""
        return self.tags.get(Tags.END, "")

    @property
    def broken(self) -> bool:
        """Whether it breaks what the search requires, which makes it the worse one."""
        return self.tags.get(Tags.BROKEN) == "yes"

    @property
    def end_reason(self) -> str:
        """Why it ended so; empty while it runs."""
        return self.tags.get(Tags.END_REASON, "")

    @property
    def seed(self) -> str:
        """The seed of a trial or an evaluation; without a tag the run's id, which no other has."""
        return self.tags.get(Tags.SEED, self.run_id)

    @property
    def repeat(self) -> str:
        """Which repeat of the search a trial or an evaluation is of: ``0`` without a tag."""
        return self.tags.get(Tags.REPEAT, "0")

    @property
    def split(self) -> str:
        """The split seed of an evaluation; empty where none is recorded."""
        return self.tags.get(Tags.SPLIT_SEED, "")

    @property
    def row_of(self) -> str:
        """The gate of whose search a gate's run is the best at one k; empty of any other."""
        return self.tags.get(Tags.ROW_OF, "")

    @property
    def configuration(self) -> dict[str, str]:
        """The hyperparameters, by the spec's names."""
        return {name: value for name, value in self.params.items() if "." in name}


@dataclass(frozen=True)
class SweepRecord:
    """The runs of a sweep: all of them, or all but the trials."""

    sweep: str
    runs: tuple[RunRecord, ...] = ()
    ignored: int = 0
    """Runs in its experiment that no sweep wrote; of very many not all are counted."""
    uri: str = ""
    """MLflow's tracking URI of the store it was read from."""
    spec: str = ""
    """As YAML, every default written out; empty where it was not read, or is not recorded."""
    unread: str = ""
    """Where its files lie, if they were looked for and are not to be read from here."""

    def of(self, stage: str, gate: str | None = None) -> list[RunRecord]:
        """Return the runs of a stage, of one gate or of all."""
        found = self._by_stage.get(stage, [])
        return list(found) if gate is None else [run for run in found if run.gate == gate]

    @cached_property
    def _by_stage(self) -> dict[str, list[RunRecord]]:
        """The runs of each stage: a comparison asks dozens of times."""
        found: dict[str, list[RunRecord]] = {}
        for run in self.runs:
            found.setdefault(run.stage, []).append(run)
        return found

    @property
    def run(self) -> RunRecord | None:
        """The sweep's own run."""
        return next(iter(self.of("sweep")), None)

    @property
    def running(self) -> bool:
        """Whether the sweep has not come to its end."""
        return self.run is None or not self.run.end

    @property
    def directions(self) -> Directions:
        """Of which metrics more is better, and of which less."""
        return Directions.from_tags(self.run.tags if self.run else {})

    @property
    def objective(self) -> str:
        """The key of the metric that the search compared trials by."""
        named = self.run.params.get("search.objective", "loss") if self.run else "loss"
        return Metrics.VAL_LOSS if named == "loss" else named

    @property
    def meanings(self) -> dict[str, str]:
        """What the sweep's metrics and its gates' own mean, by name, as far as it is recorded."""
        found: dict[str, str] = {}
        for run in (*self.of("sweep"), *self.of("gate")):
            with suppress(ValueError):  # of a store that cut it
                found |= json.loads(run.tags.get(Tags.MEANINGS, "{}"))
        return found

    @property
    def before(self) -> tuple[str, ...]:
        """The finished sweeps that it goes on from, the first first."""
        named = self.run.tags.get(Tags.GOES_ON_FROM, "").split(",") if self.run else []
        return tuple(filter(None, named))

    @property
    def warnings(self) -> list[str]:
        """What a reader must know of the sweep's data."""
        return self.run.tags.get(Tags.WARNINGS, "").splitlines() if self.run else []

    @property
    def planned(self) -> list[str]:
        """The names of the gates that the spec has, in its order, as far as they are recorded."""
        named = self.run.tags.get(Tags.GATES, "").split(",") if self.run else []
        return [gate for gate in named if gate]

    @property
    def gates(self) -> list[str]:
        """The names of the gates that have runs, in the spec's order."""
        found = dict.fromkeys(r.gate for r in self.runs if r.gate)
        named = [gate for gate in self.planned if gate in found]
        return named + [gate for gate in found if gate not in named]
