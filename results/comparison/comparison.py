"""The comparison of gates: scores, tests and budgets, and who is better than whom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gatelab.results.comparison.budgets import Budget
from gatelab.results.comparison.cells import UnitValues
from gatelab.results.comparison.conditions import Conditions
from gatelab.results.comparison.differences import RESOLUTION
from gatelab.results.comparison.plain import plain, to_json
from gatelab.results.comparison.scores import Score, Test
from gatelab.results.comparison.subjects import Family, Role, Subject, family
from gatelab.tracking.schema import Directions, Metrics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Scores, tests and budgets of gates on one task, from one sweep or several."""

    sweep: str
    """Its name; of several, their names with commas."""
    task: str
    gates: tuple[str, ...]
    scores: tuple[Score, ...]
    tests: tuple[Test, ...]
    budgets: tuple[Budget, ...]
    conditions: tuple[Conditions, ...]
    """Of each sweep."""
    directions: Directions
    """Of the metrics."""
    subjects: tuple[Subject, ...]
    """What every gate is, in their order: gates, then rows, baselines and ceilings."""
    unit: str = "seed"
    """What the values of scores and tests are by: see :class:`Units`."""
    repeats: int = 1
    """After how many searches the gate was evaluated of which it was after most; those of each
    gate are with its scores."""
    splits: int = 1
    """On how many splits all gates together were evaluated: one may have fewer."""
    test_to_train: float = 0.0
    """Where the units are splits of the same rows the test rows over the train rows, else 0."""
    configurations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By gate, what its search selected, or its best one of several: values by the spec's names."""

    @property
    def running(self) -> bool:
        """Whether results are still to come."""
        return any(sweep.running for sweep in self.conditions)

    @property
    def ignored(self) -> int:
        """Runs of other programs in the sweeps' experiments."""
        return sum(sweep.ignored for sweep in self.conditions)

    def subject(self, gate: str) -> Subject:
        """Return what a gate is."""
        return next(subject for subject in self.subjects if subject.gate == gate)

    def of_role(self, role: Role) -> list[str]:
        """Return the gates of a role."""
        return [subject.gate for subject in self.subjects if subject.role == role]

    @property
    def able(self) -> list[str]:
        """The gates and baselines: who can be best, or has to be beaten."""
        return [*self.of_role("gate"), *self.of_role("baseline")]

    @property
    def tested(self) -> list[str]:
        """The gates, baselines and ceilings that take part in tests: all but rows."""
        return [subject.gate for subject in self.subjects if subject.tested]

    @cached_property
    def family(self) -> Family:
        """The pairs that are tested, and for the number of which p-values are corrected."""
        return family(self.subjects)

    def values(self, metric: str) -> dict[str, UnitValues]:
        """Return a metric by gate and unit, of those that take part in tests."""
        return {
            s.gate: s.values for s in self.scores if s.metric == metric and s.gate in self.tested
        }

    def score(self, gate: str, metric: str) -> Score | None:
        """Return one gate's score, if it has any."""
        found = (s for s in self.scores if s.gate == gate and s.metric == metric)
        return next(found, None)

    def metrics(self) -> list[str]:
        """Return every metric: losses first, then means over targets, targets, and gates."""
        return sorted({score.metric for score in self.scores}, key=rank)

    def leaders(self, metric: str) -> list[str]:
        """Return the gates with the best mean: one, or several that are level.

        A ceiling is none of them, nor a row. None where the metric has no direction, or nobody has
        a score.
        """
        scores = [s for s in self.scores if s.metric == metric and s.gate in self.able]
        means = {s.gate: s.mean for s in scores if not math.isnan(s.mean)}
        if not means or not (direction := self.directions.of(metric)):
            return []
        best = max(means.values(), key=lambda mean: direction * mean)
        return [g for g, mean in means.items() if math.isclose(mean, best, rel_tol=RESOLUTION)]

    def leader(self, metric: str) -> str | None:
        """Return the gate with the best mean, where the metric has a direction."""
        return next(iter(self.leaders(metric)), None)

    def against(self, metric: str, gate: str) -> list[Test]:
        """Return the tests of one gate against the others on a metric."""
        return [t for t in self.tests if t.metric == metric and gate in (t.first, t.second)]

    def rivals(self, metric: str, gate: str) -> list[Test]:
        """Return those of them that are of the family: of a baseline, the ones against gates."""
        pairs = self.family
        return [t for t in self.against(metric, gate) if {t.first, t.second} in pairs]

    def beats_all(self, metric: str, gate: str) -> bool:
        """Return whether a gate is significantly better than every rival that has a score.

        A gate's are the other gates and the baselines, a baseline's are the gates.
        """
        tests, direction = self.rivals(metric, gate), self.directions.of(metric)
        return bool(tests) and all(t.significant and direction * t.lead(gate) > 0 for t in tests)

    def to_frame(self) -> pd.DataFrame:
        """Return the scores, a row for each metric and gate."""
        import pandas as pd  # here: it takes a third of a second

        order = {metric: i for i, metric in enumerate(self.metrics())}
        scores = sorted(self.scores, key=lambda score: order[score.metric])
        rows = [(s.metric, s.gate, s.n, s.mean, s.low, s.high) for s in scores]
        return pd.DataFrame(rows, columns=["metric", "gate", "n", "mean", "low", "high"])

    def to_csv(self, path: str | Path) -> None:
        """Write the scores, a line for each metric and gate."""
        self.to_frame().to_csv(path, index=False)

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON can hold it; what is not a number becomes null."""
        return {**plain(self), "running": self.running, "ignored": self.ignored}

    def to_json(self, path: str | Path) -> None:
        """Write everything."""
        Path(path).write_text(to_json(self.to_dict()))


KEY_STARTS = (
    *(Metrics.TEST_LOSS, Metrics.TEST_UNWEIGHTED, "test/mean/", "test/"),
    *("gate/", "learner/", "time/", "model/"),
    *(Metrics.DEFINED, Metrics.TARGETS),
)
"""How the keys of the metrics begin that are compared, in the order in which they are shown."""


def rank(metric: str) -> tuple[int, int, str]:
    """Return by what metrics are sorted: losses, then means over targets, targets, and gates."""
    part = next(
        (i for i, start in enumerate(KEY_STARTS) if metric.startswith(start)), len(KEY_STARTS)
    )
    return part, metric.count("/"), metric
