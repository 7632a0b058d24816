"""Every figure of a review, with its title and what a reader should know to read it."""

from __future__ import annotations

from collections.abc import Iterator

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.evidence import plural
from gatelab.results.figures import scores, selection
from gatelab.results.figures.far_off import constants
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.figures.plate import NOT_EVALUATED, Plate, best_gates, others_said, plate
from gatelab.results.figures.privacy import deltas, privacy, without_privacy
from gatelab.results.figures.style import HALF_WIDTH
from gatelab.results.figures.targets import MOST_PANELS, targets_figure
from gatelab.results.figures.tradeoff import tradeoff
from gatelab.results.figures.training_plates import search_plates, training_plates
from gatelab.results.figures.weights import weights_panels
from gatelab.results.review import Review

NO_WEIGHTS = "The record of this sweep has no weights by target and expert."
ROWS_SAID = (
    " Small, with their k: the best of a gate's search at that k, joined to the gate by dots."
)
OPEN_SAID = " Dashed: the mean of gates that learn by the same learner without privacy."
AWAY_SAID = " Arrow: the mean of the constant prediction, where it is far off all others."
SAME = {
    "seed": "The same seed means the same starting network and data order",
    "split": "The same split means the same rows to learn from and to be tested on",
    "set of splits": "The same splits mean the same rows to learn from and to be tested on",
    "repeat": "The same repeat means the same seeds and the same draws of what gates share",
}
"""Why gates are paired by a unit."""


def all_figures(review: Review) -> list[Plate]:
    """Return every figure of a review, in the order of a report."""
    return [
        *_answer(review),
        *_scores(review),
        *_selection(review),
        *training_plates(review),
        *_privacy(review),
        *search_plates(review),
        *_cost(review),
    ]


def _answer(review: Review) -> Iterator[Plate]:
    """Yield the two figures that stand beside the verdict."""
    comparison = review.comparison
    units, key = plural(comparison.unit), review.record.objective
    yield plate(
        "scores",
        "Test scores by gate",
        scores.score_panels(comparison, key, HALF_WIDTH),
        "Best on top: where the lines of two gates overlap widely, their order may be chance.",
        NOT_EVALUATED,
        f"Dots: the {units}, one below the other in the same order for each gate; large marker: "
        "their mean; line: its 95% interval (Student's t). Baselines stand below the dotted line."
        f"{_away_said(comparison)}",
    )
    yield plate(
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


def _privacy(review: Review) -> Iterator[Plate]:
    """Yield what privacy costs, where anything is private."""
    comparison = review.comparison
    drawn = privacy(comparison)
    if drawn is not None:
        yield Plate(
            "privacy",
            "Test loss against epsilon",
            "Further left is more private: by what the loss is higher there is the price.",
            drawn,
            f"Marker: a gate's mean over the {plural(comparison.unit)}; line: its 95% interval. "
            "Epsilon by the privacy loss distribution, of all that was published, at "
            f"delta = {deltas(comparison)}.{OPEN_SAID if without_privacy(comparison) else ''}",
        )


def _scores(review: Review) -> Iterator[Plate]:
    comparison = review.comparison
    unit, units = comparison.unit, plural(comparison.unit)
    yield plate(
        "differences",
        "Differences from the best gate",
        scores.difference_panels(comparison),
        "An interval that reaches 0 leaves open which gate is better.",
        "It takes two evaluated gates to compare." if comparison.scores else NOT_EVALUATED,
        f"{SAME[unit]}, so gates are compared {unit} by {unit}. Dots: differences of single "
        f"{units}; large marker: their mean; line: its 95% "
        f"interval, not corrected for several gates.{_away_said(comparison)}",
    )
    yield plate(
        "targets",
        "Targets by gate",
        targets_figure(review.targets, comparison, review.record.objective),
        "A column with hardly any blue is a gate that is good, or as good as the best, "
        "on every target."
        if review.targets["target"].nunique() > MOST_PANELS
        else "Best by the mean loss on top: a gate that is better on one target may be worse on "
        "another.",
        "It takes two targets, and their scores in the record.",
        "Numbers: means of each target's test metric, the best in bold. Shade: how far a gate is "
        f"behind the best of that target, in standard deviations over the {units} (the root mean "
        "square of the gates')."
        if review.targets["target"].nunique() > MOST_PANELS
        else f"Dots: the {units}; large marker: their mean; line: its 95% interval."
        f"{_away_said(comparison)}",
    )


def _selection(review: Review) -> Iterator[Plate]:
    gates, weights = review.comparison.tested, review.weights
    yield plate(
        "weights",
        "Which target weighs which expert",
        weights_panels(weights, gates),
        "Rows that look alike are targets that share experts; a row of one blue cell relies on one "
        "expert alone.",
        _absent(review),
        "Cell: the mean weight over the test split and the seeds that a target (row) gives an "
        "expert (column). Each panel has its own scale, which its title says. Experts have no "
        "order of their own: seeds are matched to the first that has most of them, and all stand "
        "in the order of the targets that rely on them. Lines part planted groups of targets.",
    )
    drawn = best_gates(review) if len(gates) > MOST_TOGETHER else gates
    few = " Of many gates the best." if len(gates) > MOST_TOGETHER else ""
    yield plate(
        "overlap",
        "Overlap between targets",
        selection.overlap(weights, drawn),
        "Blue off the diagonal: two targets that rely on the same experts.",
        _absent(review) if not len(weights) else "It takes two targets to overlap.",
        "Cell: the Jaccard index of the experts that carry more than 5% of two targets' weight, "
        "the mean over the seeds: 1 where they rely on the same experts, 0 where they share "
        "none. Where groups of targets are planted, the last matrix shows them: a gate that finds "
        f"them looks like it.{few}",
    )
    yield plate(
        "load",
        "Load of the experts",
        selection.load_curves(weights, gates),
        "A flat line spreads examples evenly over the experts, and those at 0 are dead.",
        _absent(review) if not len(weights) else "It takes two experts to share a load.",
        "The share of test examples that use an expert (weight above 1e-5), the mean over targets, "
        "from a seed's most used expert to its least. Line: mean over the seeds; band: from the "
        f"lowest seed to the highest.{others_said(review)}",
    )


def _cost(review: Review) -> Iterator[Plate]:
    units = plural(review.comparison.unit)
    yield plate(
        "cost",
        "What a gate costs",
        scores.cost_panels(review.comparison),
        "The shorter the way from 0, the cheaper the gate.",
        NOT_EVALUATED,
        f"The numbers of the table. Dots: {units}; large marker: their mean; line: its 95% "
        "interval.",
    )


def _away_said(comparison: Comparison) -> str:
    return AWAY_SAID if constants(comparison) else ""


def _absent(review: Review) -> str:
    return NO_WEIGHTS if review.comparison.scores else NOT_EVALUATED
