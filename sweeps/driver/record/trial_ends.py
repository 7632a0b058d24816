"""How the trials of gates ended: counted, so that nobody need read them all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.searches import Search
from gatelab.tracking.schema import COUNTS, Metrics, Tags
from gatelab.training.steps import Ending

MOST_REASONS = 10
"""So many different ones are told with a gate; a tag does not hold them all."""


class TrialEnds:
    """Counts the ends of each gate's trials, their epochs, and why they failed."""

    def __init__(self, labels: Iterable[str], studies: Mapping[str, Study]) -> None:
        """Begin from what the studies note.

        Args:
            labels: Of the gates.
            studies: Every search, by its name.
        """
        self._ends: dict[str, Counter[str]] = {label: Counter() for label in labels}
        self._reasons: dict[str, Counter[str]] = {label: Counter() for label in self._ends}
        self._epochs: Counter[str] = Counter()
        for name, study in studies.items():
            label = Search.of(name).label
            self._ends[label] += study.outcomes.ends()
            self._reasons[label] += study.outcomes.reasons()
            self._epochs[label] += study.outcomes.epochs()

    def add(self, label: str, ending: Ending) -> None:
        """Count one more trial of a gate."""
        self._ends[label][ending.end] += 1
        self._epochs[label] += ending.trained
        if ending.end == "failed":
            self._reasons[label][ending.reason[:500]] += 1

    def total(self, label: str) -> int:
        """Return how many trials of a gate have ended."""
        return self._ends[label].total()

    def metrics(self, label: str) -> dict[str, float]:
        """Return the counts of a gate, as the record has them."""
        counts = {key: float(self._ends[label][end]) for end, key in COUNTS.items()}
        return {**counts, Metrics.SEARCH_EPOCHS: float(self._epochs[label])}

    def failures(self, label: str) -> dict[str, str]:
        """Return a tag of why most of a gate's trials failed."""
        common = dict(self._reasons[label].most_common(MOST_REASONS))
        return {Tags.FAILURES: json.dumps(common)}
