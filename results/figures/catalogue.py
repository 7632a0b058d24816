"""Every figure of a review, with its title and what a reader should know to read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from matplotlib.figure import Figure

from gatelab.results.comparison.evidence import plural
from gatelab.results.figures import courses, scores, search, selection
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.figures.slices import slices
from gatelab.results.figures.tradeoff import tradeoff
from gatelab.results.review import Review
from gatelab.tracking.schema import Metrics

NOT_EVALUATED = "Nothing has been evaluated yet."
UNDIRECTED = "It is not recorded whether more or less of the objective is better."
NO_WEIGHTS = "The record of this sweep has no weights by target and expert."
WEIGHTS_CAPTION = (
    "Cell: the mean weight over the test split that a target (row) gives an expert (column). All "
    "gates have the same scale. Experts have no order of their own: those of later seeds stand "
    "where they match the first seed's best, under their own numbers. Lines part planted groups of "
    "targets, where there are any. Panels: seeds, of many the first."
)
BAND_CAPTION = (
    "Line: mean over the seeds; band: from the lowest seed to the highest; dotted from the epoch "
    "after which a seed had stopped early, over those that went on."
)

ROWS_CAPTION = (
    " Small, with their k: the best of a gate's search at that k, joined to the gate by dots."
)
SAME = {
    "seed": "The same seed means the same starting network and data order",
    "split": "The same split means the same rows to learn from and to be tested on",
    "set of splits": "The same splits mean the same rows to learn from and to be tested on",
    "repeat": "The same repeat means the same seeds and the same draws of what gates share",
}
"""Why gates are paired by a unit."""


class Plate(NamedTuple):
    """A figure for a page, or the reason why there is none."""

    name: str
    """Of its file, and unique."""
    title: str
    caption: str
    """What is drawn and how to read it; without a figure why not."""
    figure: Figure | None


def all_figures(review: Review) -> list[Plate]:
    """Return every figure of a review, in the order of a report."""
    return [
        *_scores(review),
        *_selection(review),
        *_training(review),
        *_search(review),
        *_cost(review),
    ]


def _plate(name: str, title: str, figure: Figure | None, caption: str, absent: str) -> Plate:
    return Plate(name, title, absent if figure is None else caption, figure)


def _scores(review: Review) -> Iterator[Plate]:
    comparison = review.comparison
    unit, units = comparison.unit, plural(comparison.unit)
    yield _plate(
        "scores",
        "Test scores by gate",
        scores.score_panels(comparison),
        f"Dots: the {units}, one below the other in the same order for each gate; large marker: "
        "their mean; line: its 95% interval (Student's t). The gate with the lowest test loss is "
        "on top.",
        NOT_EVALUATED,
    )
    yield _plate(
        "differences",
        "Differences from the best gate",
        scores.difference_panels(comparison),
        f"{SAME[unit]}, so gates are compared {unit} by {unit}. Dots: differences of single "
        f"{units}; large marker: their mean; line: its 95% "
        "interval, not corrected for several gates. An interval that reaches 0 leaves open which "
        "gate is better.",
        "It takes two evaluated gates to compare." if comparison.scores else NOT_EVALUATED,
    )


def _selection(review: Review) -> Iterator[Plate]:
    gates, weights = review.comparison.tested, review.weights
    drawn = [gate for gate in gates if (weights["gate"] == gate).any()]
    tallest = selection.TALLEST if len(drawn) <= MOST_TOGETHER else 0.0
    for gate in drawn:
        yield Plate(
            f"weights-{file_name(gate)}",
            f"Weights of {gate}",
            WEIGHTS_CAPTION if gate == drawn[0] else f"As for {drawn[0]}, on the same scale.",
            selection.weights_heatmap(weights, gate, tallest),
        )
    if not drawn:
        yield Plate("weights", "Weights", _absent(review), None)
    yield _plate(
        "overlap",
        "Overlap between targets",
        selection.overlap(weights, gates),
        "Cell: the Jaccard index of the experts that carry more than 5% of two targets' weight, "
        "the mean over the seeds: 1 where two targets rely on the same experts, 0 where they share "
        "none. Where groups of targets are planted, the last matrix shows them: a gate that finds "
        "them looks like it.",
        _absent(review) if not drawn else "It takes two targets to overlap.",
    )
    yield _plate(
        "load",
        "Load of the experts",
        selection.load_curves(weights, gates),
        "The share of test examples that use an expert (weight above 1e-5), the mean over targets, "
        "from a seed's most used expert to its least. A flat line spreads examples evenly; experts "
        "at 0 are dead. Line: mean over the seeds; band: from the lowest seed to the highest."
        + _grey(review),
        _absent(review),
    )


def _training(review: Review) -> Iterator[Plate]:
    gates, table = review.comparison.tested, review.curves
    absent = "Not recorded." if review.comparison.scores else NOT_EVALUATED
    drawings = (
        (
            "curves",
            "Learning curves of the evaluation",
            courses.learning_curves,
            "Losses of the task alone, without any gate's own. The test score is that of the epoch "
            "with the lowest validation loss.",
        ),
        (
            "experts_per_example",
            "Experts per example during training",
            courses.experts_per_example_curves,
            "How many experts an example of the validation split gives a weight above 1e-5.",
        ),
        (
            "weight_change",
            "Change of the weights during training",
            courses.weight_change_curves,
            "How far an example's weights move in an optimiser step (L1), from the change between "
            "two epochs: a lower bound. A gate that settles falls towards 0, and out of the frame.",
        ),
    )
    for name, title, draw, caption in drawings:
        yield _plate(
            name, title, draw(table, gates), f"{caption} {BAND_CAPTION}{_grey(review)}", absent
        )


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
        f"The {'highest' if higher else 'lowest'} {name} among a gate's finished trials by how "
        "many of its trials were spent, pruned and failed ones included, in the order in which "
        "they were drawn. Markers: finished trials. A line that still moves at its end asks for "
        f"more trials.{repeats or _grey(review)}",
        "No trial has finished yet." if direction else UNDIRECTED,
    )
    yield _plate(
        "importance",
        "Importance of the hyperparameters",
        search.importance_bars(review.importance, gates),
        f"The share of the variation of the {name} over a gate's trials that a hyperparameter "
        "accounts for (fANOVA, as Optuna has it); the bars of a gate add up to 1. With few trials "
        "it is a hint.",
        "Not recorded: it takes 8 trials of a gate that ended without failing, and an evaluation.",
    )
    figures = slices(trials, gates, name)
    caption = (
        f"The best {name} of every trial by a hyperparameter's value. Hollow markers are "
        "pruned trials: theirs stems from fewer epochs, and training on might have made it better."
    )
    if not figures:
        yield Plate("slices", "Slices", "No trial with a searched hyperparameter yet.", None)
    for part, figure in enumerate(figures, 1):
        name = "slices" if part == 1 else f"slices-{part}"
        yield Plate(name, "Slices" if part == 1 else f"Slices, part {part}", caption, figure)


def _cost(review: Review) -> Iterator[Plate]:
    units = plural(review.comparison.unit)
    yield _plate(
        "tradeoff",
        "Test loss against experts a row",
        tradeoff(review.comparison),
        f"Marker: a gate's means over the {units}; lines: their 95% intervals. Experts a row: "
        "those that any target of a row uses, which is what it costs. Grey, with rings: the Pareto "
        "front, those that none beats in both. Hollow: baselines, and ceilings, which are on none."
        f"{ROWS_CAPTION if review.comparison.of_role('row') else ''}",
        "Experts a row are not recorded, or no mean loss is a number."
        if review.comparison.scores
        else NOT_EVALUATED,
    )
    yield _plate(
        "cost",
        "What a gate costs",
        scores.cost_panels(review.comparison),
        f"The numbers of the table above. Dots: {units}; large marker: their mean; line: its 95% "
        "interval.",
        NOT_EVALUATED,
    )


def _grey(review: Review) -> str:
    """Return what is said of the lines that stand behind each of many gates."""
    return " Grey: the other gates." if len(review.comparison.tested) > MOST_TOGETHER else ""


def _absent(review: Review) -> str:
    return NO_WEIGHTS if review.comparison.scores else NOT_EVALUATED


def file_name(gate: str) -> str:
    """Return a gate's name as a part of a file's."""
    return re.sub(r"[^\w.-]", "_", gate)
