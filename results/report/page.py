"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from gatelab.gates.meanings import MEANINGS
from gatelab.results.comparison import Comparison
from gatelab.results.comparison.missing_runs import missing, without_weights
from gatelab.results.comparison.tables import BOLD, Grid
from gatelab.results.comparison.verdict import leading, sentences
from gatelab.results.figures.inline import svg
from gatelab.results.figures.plate import Plate
from gatelab.results.report import page_grids, search_grids
from gatelab.results.report.conditions_grid import conditions_grid, facts_line, without_folders
from gatelab.results.review import Review


@dataclass(frozen=True)
class Tables:
    """Tables that are folded under one title: of many gates one is in several parts."""

    grids: Sequence[Grid]

    @property
    def title(self) -> str:
        """The first one's."""
        return self.grids[0].title


Block = Tables | Plate | Mapping[str, str]
"""Tables, a figure, or metrics and what they mean."""
ANSWER = ("scores", "tradeoff")
"""The figures that stand beside the verdict."""
UNFOLDED = 3
"""Of the warnings, and of the sentences after the answer, those that are not folded."""
BACKTICKS = re.compile(r"`([^`]+)`")
NUMBER = re.compile(r"(?:[-\d\s.,+<±()*e%]|to)+|nan|none")


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    key: str
    title: str
    blocks: Sequence[Block]


Drawings = Mapping[str, str]
"""SVG elements by the names of their plates."""


def draw(plates: Sequence[Plate]) -> dict[str, str]:
    """Return the figures as elements of a page, by their names."""
    return {p.name: svg(p.figure, p.name, p.title) for p in plates if p.figure is not None}


def render(review: Review, plates: Sequence[Plate], drawings: Drawings | None = None) -> str:
    """Return the page of a review with its figures, which may have been drawn already."""
    comparison = review.comparison
    said = sentences(comparison)
    first = len(leading(comparison))
    lost = without_weights(review.record, {*review.weights["gate"]})
    told = [*missing(review.record), *lost, *review.record.warnings]
    return _template().render(
        sweep=comparison.sweep,
        data=_data(comparison),
        running=comparison.running,
        facts=facts_line(review.record),
        answer=said[first - 1],
        verdict=[*said[: first - 1], *told[:UNFOLDED], *said[first : first + UNFOLDED]],
        grounds=[*told[UNFOLDED:], *said[first + UNFOLDED :]],
        figures=_of(plates, *ANSWER),
        drawings=draw(plates) if drawings is None else drawings,
        sections=_sections(review, plates),
        repeats=_searches(comparison),
        objective=review.sought,
        how=conditions_grid(review.record, comparison),
        spec=without_folders(review.record.spec),
    )


def _data(comparison: Comparison) -> str:
    """Return what a reader knows the data by: the task, or the file of a table."""
    (under,) = comparison.conditions
    path = under.options.get("path", "") if under.task == "table" else ""
    return PurePath(path).name or comparison.task


def _searches(comparison: Comparison) -> int:
    """Return how often each gate was searched, also where a search led to no evaluation."""
    return max([comparison.repeats, *(budget.searches for budget in comparison.budgets)])


def _sections(review: Review, plates: Sequence[Plate]) -> list[Section]:
    comparison, record = review.comparison, review.record
    selection = page_grids.selection_grids(comparison, record)
    predictive = page_grids.predictive_grids(comparison)
    learning = page_grids.learner_grids(comparison)
    blocks: dict[str, Sequence[Block]] = {
        "Predictive performance": [
            *_of(plates, "differences", "targets"),
            *_folded(predictive),
            *_meanings(predictive, record.meanings),
            *_folded(page_grids.pair_grids(comparison)),
        ],
        "Expert selection": [
            *_of(plates, "weights", "overlap", "load"),
            *_folded(selection),
            *_meanings(selection, MEANINGS | record.meanings),
        ],
        "Training": [
            *_of(plates, "curves", "experts_per_example", "weight_change", "privacy"),
            *_folded(learning),
            *_meanings(learning, record.meanings),
        ],
        "Search": [
            *_of(plates, "search", "importance", "slices"),
            *_folded([search_grids.budget_grid(comparison)]),
            *_folded(search_grids.selected_grids(comparison, record)),
            *_folded(search_grids.tuning_grids(record)),
        ],
        "Cost": [*_of(plates, "cost"), *_folded(page_grids.cost_grids(comparison, record))],
    }
    return [Section(_key(title), title, found) for title, found in blocks.items()]


def _folded(grids: Sequence[Grid]) -> list[Block]:
    return [Tables(grids)] if grids else []


def _meanings(grids: Sequence[Grid], meanings: Mapping[str, str]) -> list[Block]:
    """Return what the metrics of some tables mean.

    Their names may begin with a target, and end with how many targets a mean is of.
    """
    names = {name for grid in grids for name in (*grid.columns, *(row[0] for row in grid.rows))}
    named = {name.rpartition(": ")[2].partition(" (")[0] for name in names}
    found = {metric: meaning for metric, meaning in meanings.items() if metric in named}
    return [found] if found else []


def _key(title: str) -> str:
    return title.lower().replace(" ", "-") + "-section"


def _of(plates: Sequence[Plate], *subjects: str) -> list[Plate]:
    """Return the plates of a few subjects; those that are absent for one reason become one."""
    chosen = [plate for plate in plates if plate.name.partition("-")[0] in subjects]
    absent: dict[str, list[str]] = {}
    for plate in (plate for plate in chosen if plate.figure is None):
        absent.setdefault(plate.caption, []).append(plate.title)
    joined = [Plate("", "; ".join(titles), why, None) for why, titles in absent.items()]
    return [plate for plate in chosen if plate.figure] + joined


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "heading": _heading, "sides": _sides, "safe_svg": Markup}
    return environment.get_template("page.html.j2")


def _sides(grid: Grid) -> list[str]:
    """Return where each column is aligned: numbers to the right, words to the left."""
    columns = list(zip(*grid.rows, strict=True))[1:]
    numbers = [all(NUMBER.fullmatch(cell) for cell in column) for column in columns]
    return ["left", *("right" if number else "left" for number in numbers)]


def _heading(text: str) -> Markup:
    """Return a column's name, which may be broken behind an underscore rather than in a word."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def _cell(text: str) -> Markup:
    """Return a text without folders of a machine, its bold, code, minus signs and star marked."""
    text = without_folders(text)
    found = re.sub(r"(?<![^\s(])-(?=[\d.])", "\N{MINUS SIGN}", str(escape(text)))
    found = BOLD.sub(r"<strong>\1</strong>", found)
    found = BACKTICKS.sub(r"<code>\1</code>", found)
    return Markup(re.sub(r"\*$", '<span class="star">*</span>', found))
