"""The figures of a review of how gates trained and were searched, with what is said of them."""

from __future__ import annotations

from collections.abc import Iterator

from gatelab.results.figures import courses, search
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.figures.plate import NOT_EVALUATED, Plate, best_gates, others_said, plate
from gatelab.results.figures.slices import searched_names, slices
from gatelab.results.review import Review
from gatelab.tracking.schema import Metrics

UNDIRECTED = "It is not recorded whether more or less of the objective is better."
BAND = (
    "Line: mean over the seeds; band: from the lowest seed to the highest; dotted from the epoch "
    "after which a seed had stopped early, over those that went on."
)
FEW_SLICES = 2
"""Hyperparameters of each of the best of many gates, those of the highest importance."""
FEW_SAID = (
    " Of many gates the best five, by their two most important hyperparameters; where importance "
    "is not recorded, by the first two."
)


def training_plates(review: Review) -> Iterator[Plate]:
    """Yield the courses of the evaluation."""
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
        note = f"{note} {BAND}{others_said(review)}"
        yield plate(name, title, draw(table, gates), caption, absent, note)


def search_plates(review: Review) -> Iterator[Plate]:
    """Yield what trials came to, and by which hyperparameters."""
    gates, trials, key = review.comparison.tested, review.trials, review.record.objective
    name = search.LOSS_LABEL if key == Metrics.VAL_LOSS else key
    direction = review.record.directions.of(key)
    higher = direction > 0
    several = trials["repeat"].nunique() > 1
    repeats = " A line is a repeat of the search; grey: the other gates'." if several else ""
    yield plate(
        "search",
        "Best so far",
        search.best_so_far(trials, gates, name, higher=higher) if direction else None,
        "A line that still moves at its end asks for more trials.",
        "No trial has finished yet." if direction else UNDIRECTED,
        f"The {'highest' if higher else 'lowest'} {name} among a gate's finished trials by how "
        "many of its trials were spent, in the order in which they were drawn. Filled markers: "
        "finished trials; hollow ones: pruned, after fewer epochs, where a line cannot move; "
        f"nothing: failed.{repeats or others_said(review)}",
    )
    yield plate(
        "importance",
        "Importance of the hyperparameters",
        search.importance_heatmap(review.importance, gates),
        "The bluer, the more of a gate's result hangs on that hyperparameter.",
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


def _important(review: Review) -> dict[str, list[str]]:
    """Return the most important hyperparameters of the best gates, without importances the first.

    Importances are not recorded before the evaluation, nor of few trials.
    """
    rows = review.importance.sort_values("importance", ascending=False, kind="stable")
    found = {}
    for gate in best_gates(review):
        ranked = list(rows.loc[rows["gate"] == gate, "hyperparameter"])
        found[gate] = (ranked or searched_names(review.trials, gate))[:FEW_SLICES]
    return found
