"""Tables: a grid of cells for a terminal and in Markdown, and how a cell says a number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from gatelab.results.comparison.statistics import ALPHA

BOLD = re.compile(r"\*\*(.+?)\*\*")


@dataclass(frozen=True)
class Grid:
    """A table before anybody draws it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Cells; what stands between two pairs of asterisks is bold."""
    caption: str = ""

    def turned(self, first: str) -> Grid:
        """Return the grid with columns as rows, whose first column has this title."""
        (_, *titles), *columns = zip(self.columns, *self.rows, strict=True)
        return Grid(self.title, (first, *titles), columns, self.caption)


def rich_table(grid: Grid) -> Table:
    """Return the table for a terminal; a narrow one breaks lines rather than lose a digit."""
    table = Table(title=escape(grid.title), caption=escape(grid.caption), caption_justify="left")
    for index, column in enumerate(grid.columns):
        first = index == 0
        table.add_column(escape(column), no_wrap=first, justify="left" if first else "right")
    for row in grid.rows:
        table.add_row(*(BOLD.sub(r"[bold green]\1[/]", escape(cell)) for cell in row))
    return table


def markdown(grid: Grid) -> str:
    """Return the table in Markdown, without title and caption."""
    rule = "| --- |" + " ---: |" * (len(grid.columns) - 1)
    return "\n".join([_line(grid.columns), rule, *map(_line, grid.rows)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def metric_title(metric: str) -> str:
    """Return a metric's key as a reader says it."""
    return metric.removeprefix("time/").replace("/", " ", 1)


def number(mean: float, half: float) -> str:
    """Return a mean with as many digits as half its interval leaves meaning to."""
    if not math.isfinite(half) or half == 0:
        return f"{mean:.4g}"
    digits = min(3, max(0, 1 - math.floor(math.log10(half))))
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def p_value(p: float) -> str:
    """Return a p-value with two digits, or as many as tell it from 0.05; a dash for none."""
    if math.isnan(p):
        return "-"
    if p < 0.001:
        return "<0.001"
    texts = (f"{p:.{digits}g}" for digits in range(2, 18))
    return next(text for text in texts if (float(text) < ALPHA) == (p < ALPHA))


def p_words(p: float) -> str:
    """Return a p-value as a sentence says it."""
    return "p < 0.001" if p < 0.001 else f"p = {p_value(p)}"


def listed(names: Sequence[str]) -> str:
    """Return names with commas and an ``and``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
