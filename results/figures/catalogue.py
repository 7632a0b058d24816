"""Every figure of a review, with its title and what a reader should know to read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from matplotlib.figure import Figure

from gatelab.results.comparison.evidence import plural
from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.figures import courses, scores, search, selection
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.figures.slices import searched_names, slices
from gatelab.results.figures.style import HALF_WIDTH
from gatelab.results.figures.targets import MOST_PANELS, targets_figure
from gatelab.results.figures.tradeoff import tradeoff
from gatelab.results.figures.weights import weights_panels
from gatelab.results.review import Review
from gatelab.tracking.schema import Metrics

NOT_EVALUATED = "Nothing has been evaluated yet."
UNDIRECTED = "It is not recorded whether more or less of the objective is better."
NO_WEIGHTS = "The record of this sweep has no weights by target and expert."
BAND = (
    "Line: mean over the seeds; band: from the lowest seed to the highest; dotted from the epoch "
    "after which a seed had stopped early, over those that went on."
)
ROWS_SAID = (
    " Small, with their k: the best of a gate's search at that k, joined to the gate by dots."
)
SAME = {
    "seed": "The same seed means the same starting network and data order",
    "split": "The same split means the same rows to learn from and to be tested on",
    "set of splits": "The same splits mean the same rows to learn from and to be tested on",
    "repeat": "The same repeat means the same seeds and the same draws of what gates share",
}
"""Why gates are paired by a unit."""
FEW_SLICES = 2
"""Hyperparameters of each of the best of many gates, those of the highest importance."""
FEW_SAID = (
    " Of many gates the best five, by their two most important hyperparameters; where importance "
    "is not recorded, by the first two."
)


class Plate(NamedTuple):
    """A figure for a page, or the reason why there is none."""

    name: str
    """Of its file, and unique."""
    title: str
    caption: str
    """How to read it, in one sentence; without a figure why not."""
    figure: Figure | None
    note: str = ""
    """What exactly is drawn."""


def all_figures(review: Review) -> list[Plate]:
    """Return every figure of a review, in the order of a report."""
    return [
        *_answer(review),
        *_scores(review),
        *_selection(review),
        *_training(review),
        *_search(review),
        *_cost(review),
    ]


def _plate(
    name: str, title: str, figure: Figure | None, caption: str, absent: str, note: str = ""
) -> Plate:
    return Plate(name, title, absent if figure is None else caption, figure, note)


def _answer(review: Review) -> Iterator[Plate]:
    """Yield the two figures that stand beside the verdict."""
    comparison = review.comparison
    units, key = plural(comparison.unit), review.record.objective
    yield _plate(
        "scores",
        "Test scores by gate",
        scores.score_panels(comparison, key, HALF_WIDTH),
        "Best on top: where the lines of two gates overlap widely, their order may be chance.",
        NOT_EVALUATED,
        f"Dots: the {units}, one below the other in the same order for each gate; large marker: "
        "their mean; line: its 95% interval (Student's t). Baselines stand below the dotted line.",
    )
    yield _plate(
        "tradeoff",
        "Test loss against experts a row",
        tradeoff(comparison, HALF_WIDTH),
        "Lower is better, further left is cheaper: grey rings mark those that none beats in both.",
        "Experts a row are not recorded, or no mean loss is a number."
        if comparison.scores
        else NOT_EVALUATED,
        f"Marker: a gate's means over the {units}; lines: their 95% intervals. Experts a row: "
        "those that any target of a row uses, which is what it costs. Hollow: baselines, and "
        f"ceilings, which are on no front.{ROWS_SAID if comparison.of_role('row') else ''}",
    )


def _scores(review: Review) -> Iterator[Plate]:
    comparison = review.comparison
    unit, units = comparison.unit, plural(comparison.unit)
    yield _plate(
        "differences",
        "Differences from the best gate",
        scores.difference_panels(comparison),
        "An interval that reaches 0 leaves open which gate is better.",
        "It takes two evaluated gates to compare." if comparison.scores else NOT_EVALUATED,
        f"{SAME[unit]}, so gates are compared {unit} by {unit}. Dots: differences of single "
        f"{units}; large marker: their mean; line: its 95% "
        "interval, not corrected for several gates.",
    )
    yield _plate(
        "targets",
        "Targets by gate",
        targets_figure(review.targets, comparison, review.record.objective),
        "A column that is pale from top to bottom is a gate that is good, or as good as the best, "
        "on every target."
        if review.targets["target"].nunique() > MOST_PANELS
        else "Best by the mean loss on top: a gate that is better on one target may be worse on "
        "another.",
        "It takes two targets, and their scores in the record.",
        "Numbers: means of each target's test metric, the best in bold. Shade: how far a gate is "
        f"behind the best of that target, in standard deviations over the {units} (the root mean "
        "square of the gates')."
        if review.targets["target"].nunique() > MOST_PANELS
        else f"Dots: the {units}; large marker: their mean; line: its 95% interval.",
    )


def _selection(review: Review) -> Iterator[Plate]:
    gates, weights = review.comparison.tested, review.weights
    yield _plate(
        "weights",
        "Which target weighs which expert",
        weights_panels(weights, gates),
        "Rows that look alike are targets that share experts; a row of one dark cell relies on one "
        "expert alone.",
        _absent(review),
        "Cell: the mean weight over the test split and the seeds that a target (row) gives an "
        "expert (column). Each panel has its own scale, which its title says. Experts have no "
        "order of their own: seeds are matched to the first that has most of them, and all stand "
        "in the order of the targets that rely on them. Lines part planted groups of targets.",
    )
    drawn = _best(review) if len(gates) > MOST_TOGETHER else gates
    few = " Of many gates the best." if len(gates) > MOST_TOGETHER else ""
    yield _plate(
        "overlap",
        "Overlap between targets",
        selection.overlap(weights, drawn),
        "Dark off the diagonal: two targets that rely on the same experts.",
        _absent(review) if not len(weights) else "It takes two targets to overlap.",
        "Cell: the Jaccard index of the experts that carry more than 5% of two targets' weight, "
        "the mean over the seeds: 1 where they rely on the same experts, 0 where they share "
        "none. Where groups of targets are planted, the last matrix shows them: a gate that finds "
        f"them looks like it.{few}",
    )
    yield _plate(
        "load",
        "Load of the experts",
        selection.load_curves(weights, gates),
        "A flat line spreads examples evenly over the experts, and those at 0 are dead.",
        _absent(review) if not len(weights) else "It takes two experts to share a load.",
        "The share of test examples that use an expert (weight above 1e-5), the mean over targets, "
        "from a seed's most used expert to its least. Line: mean over the seeds; band: from the "
        f"lowest seed to the highest.{_grey(review)}",
    )


def _training(review: Review) -> Iterator[Plate]:
    gates, table = review.comparison.tested, review.curves
    absent = "Not recorded." if review.comparison.scores else NOT_EVALUATED
    drawings = (
        (
            "curves",
            "Learning curves of the evaluation",
            courses.learning_curves,
            "A validation loss that rises while the training loss falls is overfitting.",
            "Losses of the task alone, without any gate's own. The test score is that of the epoch "
            f"with {review.sought}.",
        ),
        (
            "experts_per_example",
            "Experts per example during training",
            courses.experts_per_example_curves,
            "A line that falls is a gate that becomes sparse while it learns.",
            "How many experts an example of the validation split gives a weight above 1e-5.",
        ),
        (
            "weight_change",
            "Change of the weights during training",
            courses.weight_change_curves,
            "A line that falls, or leaves the frame below, is a gate that has settled on its "
            "experts.",
            "How far an example's weights move in an optimiser step (L1), from the change between "
            "two epochs: a lower bound.",
        ),
    )
    for name, title, draw, caption, note in drawings:
        note = f"{note} {BAND}{_grey(review)}"
        yield _plate(name, title, draw(table, gates), caption, absent, note)


def _search(review: Review) -> Iterator[Plate]:
    gates, trials, key = review.comparison.tested, review.trials, review.record.objective
    name = search.LOSS_LABEL if key == Metrics.VAL_LOSS else key
    direction = review.record.directions.of(key)
    higher = direction > 0
    several = trials["repeat"].nunique() > 1
    repeats = " A line is a repeat of the search; grey: the other gates'." if several else ""
    yield _plate(
        "search",
        "Best so far",
        search.best_so_far(trials, gates, name, higher=higher) if direction else None,
        "A line that still moves at its end asks for more trials.",
        "No trial has finished yet." if direction else UNDIRECTED,
        f"The {'highest' if higher else 'lowest'} {name} among a gate's finished trials by how "
        "many of its trials were spent, in the order in which they were drawn. Filled markers: "
        "finished trials; hollow ones: pruned, after fewer epochs, where a line cannot move; "
        f"nothing: failed.{repeats or _grey(review)}",
    )
    yield _plate(
        "importance",
        "Importance of the hyperparameters",
        search.importance_heatmap(review.importance, gates),
        "The darker, the more of a gate's result hangs on that hyperparameter.",
        "Not recorded: it takes 8 trials of a gate that ended without failing, and an evaluation.",
        f"The share of the variation of the {name} over a gate's trials that a hyperparameter "
        "accounts for (fANOVA, as Optuna has it); a row adds up to 1. What is searched in some "
        "trials only has none. With few trials it is a hint.",
    )
    yield from _slices(review, name)


def _slices(review: Review, objective: str) -> Iterator[Plate]:
    gates, trials = review.comparison.tested, review.trials
    many = len(gates) > MOST_TOGETHER
    figures = slices(trials, gates, objective, _important(review) if many else None)
    few = FEW_SAID if many else ""
    if not figures:
        whose = "one of the best five gates" if many else "a gate"
        why = f"No two trials of {whose} differ in a hyperparameter yet."
        yield Plate("slices", "Slices", why, None)
    for part, figure in enumerate(figures, 1):
        name = "slices" if part == 1 else f"slices-{part}"
        yield Plate(
            name,
            "Slices" if part == 1 else f"Slices, part {part}",
            "A valley at the edge of a panel asks for a wider range of that hyperparameter.",
            figure,
            f"The best {objective} of every trial by a hyperparameter's value. Hollow markers are "
            "pruned trials: theirs stems from fewer epochs, and training on might have made it "
            f"better.{few}",
        )


def _best(review: Review) -> list[str]:
    """Return a few gates: those of the lowest test loss, or before any the first ones."""
    found = by_mean(review.comparison, Metrics.TEST_LOSS) or review.comparison.tested
    return [gate for gate in found if gate in review.comparison.tested][:MOST_TOGETHER]


def _important(review: Review) -> dict[str, list[str]]:
    """Return the most important hyperparameters of the best gates, without importances the first.

    Importances are not recorded before the evaluation, nor of few trials.
    """
    rows = review.importance.sort_values("importance", ascending=False, kind="stable")
    found = {}
    for gate in _best(review):
        ranked = list(rows.loc[rows["gate"] == gate, "hyperparameter"])
        found[gate] = (ranked or searched_names(review.trials, gate))[:FEW_SLICES]
    return found


def _cost(review: Review) -> Iterator[Plate]:
    units = plural(review.comparison.unit)
    yield _plate(
        "cost",
        "What a gate costs",
        scores.cost_panels(review.comparison),
        "The shorter the way from 0, the cheaper the gate.",
        NOT_EVALUATED,
        f"The numbers of the table. Dots: {units}; large marker: their mean; line: its 95% "
        "interval.",
    )


def _grey(review: Review) -> str:
    """Return what is said of the lines that stand behind those of a panel."""
    return " Grey: all other gates." if len(review.comparison.tested) > MOST_TOGETHER else ""


def _absent(review: Review) -> str:
    return NO_WEIGHTS if review.comparison.scores else NOT_EVALUATED


def file_name(gate: str) -> str:
    """Return a gate's name as a part of a file's."""
    return re.sub(r"[^\w.-]", "_", gate)
