"""Subjects: what is compared, and as what: a gate, a row of one, a baseline or a ceiling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from gatelab.results.comparison.learner_options import learner_options
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Tags

Role = Literal["gate", "row", "baseline", "ceiling"]
ROLES: tuple[Role, ...] = ("gate", "row", "baseline", "ceiling")
"""In the order in which tables and figures show them."""


@dataclass(frozen=True)
class Subject:
    """A gate as a comparison has it."""

    gate: str
    """Its title in the comparison."""
    key: str
    """In the registry, or ``module:name``."""
    k: int | None
    """How many experts an example is to use, where it is recorded and each search chose it."""
    role: Role = "gate"
    """A baseline learns no selection, and a ceiling is told the truth: no gate has to beat it. A
    row is the best at one k of a gate's search: it is shown beside that gate, and not tested."""
    hardens: bool = False
    """Whether it is dense at first and is to become sparse in training."""
    row_of: str = ""
    """Of a row: the title of its gate."""
    given: str = ""
    """What its learner gives a model to learn by, and the options that were selected of it, in a
    line, where it is recorded."""

    @property
    def tested(self) -> bool:
        """Whether it takes part in tests: a row would only make those of the others weaker."""
        return self.role != "row"

    @property
    def label(self) -> str:
        """Its title, with what it is where it is no gate that selects."""
        if self.role == "row":
            return self.gate if self.k is None else f"{self.row_of} at k = {self.k}"
        return self.gate if self.role == "gate" else f"{self.gate} ({self.role})"


Family = frozenset[frozenset[str]]
"""Pairs of titles."""


def family(subjects: Iterable[Subject]) -> Family:
    """Return the pairs that are tested, and for the number of which p-values are corrected.

    A gate with a gate, and a gate with a baseline. That one baseline differs from another, or from
    a ceiling, is no question of a comparison, and the number of such pairs would only hide the
    answers to those that are. Where nobody is a gate, the baselines are what is compared.
    """
    tested = [one for one in subjects if one.tested and one.role != "ceiling"]
    alone = all(one.role != "gate" for one in tested)
    return frozenset(
        frozenset({first.gate, second.gate})
        for first, second in combinations(tested, 2)
        if alone or "gate" in (first.role, second.role)
    )


def subject(record: SweepRecord, gate: str, title: str) -> Subject:
    """Return a gate of a sweep under its title in a comparison, as its runs declare it.

    A gate that declares nothing is a gate.
    """
    declared = record.of("gate", gate)
    runs = [*declared, *record.of("evaluate", gate)]
    keys = (run.params["gate"] for run in runs if "gate" in run.params)
    ks = {run.params["gate.k"] for run in runs if "gate.k" in run.params}
    k = ks.pop() if len(ks) == 1 else ""
    tags = declared[0].tags if declared else {}
    row_of = tags.get(Tags.ROW_OF, "")
    role = next((role for role in ROLES if role == tags.get(Tags.ROLE)), ROLES[0])
    return Subject(
        title,
        next(keys, gate),
        int(k) if k.isdecimal() else None,
        "row" if row_of else role,
        tags.get(Tags.HARDENS) == "yes",
        row_of and row_of + title.removeprefix(gate),
        _given(record, gate, tags.get(Tags.GIVEN, "")),
    )


def _given(record: SweepRecord, gate: str, learner: str) -> str:
    """Return what a learner gives, with the options of all searches that were evaluated."""
    return learner and learner + learner_options(
        record.of("evaluate", gate) or record.of("gate", gate)
    )
