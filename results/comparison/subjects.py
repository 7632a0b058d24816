"""Subjects: what is compared, and as what: a gate, a baseline or a ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatelab.tracking.runs import SweepRecord

Role = Literal["gate", "baseline", "ceiling"]
ROLES: tuple[Role, ...] = ("gate", "baseline", "ceiling")
"""In the order in which tables and figures show them."""
BASELINES = ("constant", "single", "random_k", "one_each", "independent", "uniform")
"""Keys of gates that learn no selection: what a gate must beat before it is worth a word."""
CEILINGS = ("oracle",)
"""Keys of gates that are told the truth: what no gate could win against, and none wins by."""
HARDENING = ("dselect_k", "comet")
"""Keys of gates that are dense at first and become sparse in training, if they do."""


@dataclass(frozen=True)
class Subject:
    """A gate as a comparison has it."""

    gate: str
    """Its title in the comparison."""
    key: str
    """In the registry, or ``module:name``."""
    k: int | None
    """How many experts an example is to use, where it is recorded."""

    @property
    def role(self) -> Role:
        """What it is compared as."""
        if self.key in CEILINGS:
            return "ceiling"
        return "baseline" if self.key in BASELINES else "gate"

    @property
    def label(self) -> str:
        """Its title, with what it is where it is no gate that selects."""
        return self.gate if self.role == "gate" else f"{self.gate} ({self.role})"


def subject(record: SweepRecord, gate: str, title: str) -> Subject:
    """Return a gate of a sweep under its title in a comparison."""
    runs = [*record.of("gate", gate), *record.of("evaluate", gate)]
    keys = (run.params["gate"] for run in runs if "gate" in run.params)
    ks = (run.params["gate.k"] for run in runs if "gate.k" in run.params)
    k = next(ks, "")
    return Subject(title, next(keys, gate), int(k) if k.isdecimal() else None)
