"""Answers: all that is known of sweeps, in the forms in which it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gatelab.results.comparing import read_sweeps
from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.best_trials import SHARE, BestTrials, best_trials
from gatelab.results.comparison.caveats import partial_line, warnings
from gatelab.results.comparison.equivalence import Equivalence, check_margin, equivalences
from gatelab.results.comparison.gone_on import gone_on
from gatelab.results.comparison.inference import Pair, check_metric, pairwise
from gatelab.results.comparison.merging import by_task, directions_of
from gatelab.results.comparison.plain import plain
from gatelab.results.comparison.rank_report import rank_grid, rank_sentences
from gatelab.results.comparison.ranking import Ranking, rank_gates
from gatelab.results.comparison.score_grids import pair_grid, score_grid
from gatelab.results.comparison.tables import Grid
from gatelab.results.comparison.trial_report import trial_grid, trial_sentences
from gatelab.results.comparison.tuning import Tuning, tuning, tuning_grid
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER, Directions, Metrics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Overview:
    """What sweeps show: gates side by side on one task, or their ranks over several."""

    stage: str
    """``evaluate``, or ``search`` for the best trials."""
    metrics: tuple[str, ...]
    """Those asked for; none: what the table shows by itself."""
    comparisons: Mapping[str, Comparison]
    """By task."""
    partial: tuple[str, ...]
    """A line for each sweep that still runs."""
    warnings: tuple[str, ...]
    """A line for everything that makes the comparison less than fair, or that was left out."""
    pairs: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    """By metric, where metrics are asked for on one task."""
    trials: tuple[BestTrials, ...] = ()
    """By metric, of the search on one task."""
    tuning: tuple[Tuning, ...] = ()
    """By gate and repeat, of the search on one task."""
    rankings: tuple[Ranking, ...] = ()
    """By metric, over several tasks."""
    margin: float | None = None
    """Within which gates are as good as each other, where it is asked for: 0.01 is 1%."""
    equivalences: Mapping[str, Sequence[Equivalence]] = field(default_factory=dict)
    """By metric, of all pairs of gates, where a margin is given."""

    @property
    def comparison(self) -> Comparison:
        """The first task's comparison, which is the only one where there are no ranks."""
        return next(iter(self.comparisons.values()))

    def grids(self) -> list[Grid]:
        """Return the tables."""
        if self.rankings:
            return [rank_grid(ranking) for ranking in self.rankings]
        if self.trials:
            title = f"{self.comparison.sweep}: {self.comparison.task}"
            grids = [trial_grid(found, title) for found in self.trials]
            return [*grids, tuning_grid(self.tuning)] if self.tuning else grids
        scores = score_grid(self.comparison, self.metrics)
        return [scores, *(pair_grid(self.comparison, m, found) for m, found in self.pairs.items())]

    def sentences(self) -> list[str]:
        """Return what they say in words."""
        if self.rankings:
            ranked = [line for ranking in self.rankings for line in rank_sentences(ranking)]
            return [*ranked, *(line for c in self.comparisons.values() for line in gone_on(c))]
        if self.trials:
            return [line for found in self.trials for line in trial_sentences(found)]
        metrics, asked = self.metrics or (Metrics.TEST_LOSS,), self.margin
        said = [line for metric in metrics for line in sentences(self.comparison, metric, asked)]
        return list(dict.fromkeys(said))

    def frame(self) -> pd.DataFrame:
        """Return the scores: a row for each metric and gate, or task and gate."""
        import pandas as pd  # here: it takes a third of a second

        if self.rankings or self.trials:
            frames = [ranking.to_frame() for ranking in self.rankings]
            frames += [found.to_frame() for found in self.trials]
            return pd.concat(frames, ignore_index=True)
        frame = self.comparison.to_frame()
        return frame.loc[frame["metric"].isin(self.metrics)] if self.metrics else frame

    def content(self) -> dict[str, object]:
        """Return everything as JSON can hold it."""
        return {
            "stage": self.stage,
            "partial": bool(self.partial),
            "warnings": [*self.partial, *self.warnings],
            "comparisons": {task: c.to_dict() for task, c in self.comparisons.items()},
            "pairs": plain(self.pairs),
            "margin": self.margin,
            "equivalences": plain(self.equivalences),
            "best_trials": plain(self.trials),
            "tuning": plain(self.tuning),
            "rankings": plain(self.rankings),
        }


def overview(
    *sweeps: str,
    metrics: Sequence[str] = (),
    stage: str = "evaluate",
    share: float = SHARE,
    margin: float | None = None,
    folder: str | Path = FOLDER,
    uri: str | None = None,
) -> Overview:
    """Return all that is known of sweeps; those on one task are put side by side.

    Args:
        sweeps: As of :func:`gatelab.results.comparing.compare`.
        metrics: To show alone and test pair by pair, or to rank by; by default the loss.
        stage: ``evaluate``, or ``search``: the best trials, as published.
        share: Of the trials: above 0, at most 1.
        margin: Within which gates are as good as each other, a share of the better one's mean.
        folder: Of the store.
        uri: MLflow's tracking URI; by default what the sweep's launch in the folder named, or the
            SQLite store there.

    Raises:
        LookupError: If there is no such sweep, no gate has a metric, or none ranks by it.
        StoreUnavailable: If a store cannot be used.
        ValueError: If a sweep is named twice, or a margin is not above 0 or has nothing to be of.
    """
    search = stage == "search"
    if margin is not None:
        check_margin(margin)
    tasks = by_task(read_sweeps(*sweeps, folder=folder, uri=uri, trials=search))
    read = [record for records in tasks.values() for record in records]
    comparisons = {task: compare_runs(*records) for task, records in tasks.items()}
    keys = tuple(metrics) or ((Metrics.VAL_LOSS,) if search else (Metrics.TEST_LOSS,))
    under = [found for c in comparisons.values() for found in c.conditions]
    partial = tuple(partial_line(sweep) for sweep in under if sweep.running)
    if margin is not None and (search or len(tasks) > 1):
        raise ValueError("--margin needs the evaluation of sweeps on one task.")
    answer = Overview(stage, tuple(metrics), comparisons, partial, warnings(read, under))
    if len(tasks) > 1:
        means = _trial_means(tasks, keys, share) if search else _means(comparisons, keys)
        return replace(answer, rankings=tuple(_rankings(means, directions_of(read))))
    if search:
        (records,) = tasks.values()
        best = tuple(best_trials(records, share, key) for key in keys)
        return replace(answer, trials=best, tuning=tuple(tuning(records)))
    pairs = {key: pairwise(answer.comparison, key) for key in metrics}
    alike = {k: equivalences(answer.comparison, k, margin) for k in keys} if margin else {}
    return replace(answer, pairs=pairs, margin=margin, equivalences=alike)


Means = dict[str, dict[str, dict[str, float]]]
"""By metric, task and gate."""


def _rankings(means: Means, directions: Directions) -> Iterator[Ranking]:
    """Rank gates by every metric.

    Raises:
        LookupError: If neither more nor less of one is better.
    """
    for metric, found in means.items():
        if not (direction := directions.of(metric)):
            raise LookupError(f"{metric!r} has no better and worse, so no gate ranks by it.")
        yield rank_gates(found, metric, direction)


def _means(comparisons: Mapping[str, Comparison], metrics: Sequence[str]) -> Means:
    """Return the means of gates and baselines.

    Raises:
        LookupError: If no gate has a metric on any task.
    """
    found: Means = {}
    for metric in metrics:
        found[metric] = {
            task: {s.gate: s.mean for s in c.scores if s.metric == metric and s.gate in c.able}
            for task, c in comparisons.items()
        }
        if not any(found[metric].values()):
            check_metric(next(iter(comparisons.values())), metric)
    return found


def _trial_means(
    tasks: Mapping[str, Sequence[SweepRecord]], metrics: Sequence[str], share: float
) -> Means:
    """Return the means over the best trials of gates and baselines."""
    return {
        metric: {
            task: {s.gate: s.mean for s in best_trials(records, share, metric).able}
            for task, records in tasks.items()
        }
        for metric in metrics
    }
