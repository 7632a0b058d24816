"""Tables: a grid of cells for a terminal and in Markdown, and how a cell says a number."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from gatelab.results.comparison.differences import RESOLUTION
from gatelab.results.comparison.statistics import ALPHA

BORDER, PADDING = 1, 3
"""Characters beside a table's cells: before the first, and around each."""
BOLD = re.compile(r"\*\*(.+?)\*\*")
PLAIN_IN_THREE = 0.01
"""Three decimals have two digits of a number that is no smaller."""
SMALLEST_PLAIN, LARGEST_PLAIN = 1e-4, 1e9
"""What is smaller, or as large, has an exponent."""


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


def fitted(grid: Grid, width: int) -> list[Grid]:
    """Return a grid that is no wider than so many characters, or parts of it that are not.

    What has a row a metric is turned first, so that gates are the rows. Each part has the first
    column; no cell is cut or broken but a gate's name and a title, between their words.
    """
    if sum(_widths(grid)) + BORDER <= width:
        return [grid]
    if grid.columns[0] == "metric":
        words = [(row[0].replace("_", " ").replace("/", " / "), *row[1:]) for row in grid.rows]
        grid = Grid(grid.title, grid.columns, words, grid.caption).turned("gate")
    first, *widths = _widths(grid)
    parts: list[list[int]] = [[]]
    for place, wide in enumerate(widths, start=1):
        taken = BORDER + first + sum(widths[i - 1] for i in parts[-1])
        if parts[-1] and taken + wide > width:
            parts.append([])
        parts[-1].append(place)
    return [_columns(grid, [0, *places]) for places in parts]


def _widths(grid: Grid) -> list[int]:
    """Return how wide each column is at least, with its border: a word of a title on a line."""
    return [
        max(map(cell_len, (*title.split(), *cells))) + PADDING
        for title, *cells in zip(grid.columns, *_plain(grid.rows), strict=True)
    ]


def _widened(grid: Grid, width: int) -> list[int]:
    """Return how wide each column is drawn: as its whole title asks, as long as there is room.

    Where there is none for two columns, names are broken between their words: no number is.
    """
    widths = _widths(grid)
    room = width - BORDER - sum(widths)
    if room < 0:
        words = [word for name, *_ in (grid.columns, *_plain(grid.rows)) for word in name.split()]
        widths[0] = max(widths[0] + room, max(map(cell_len, words)) + PADDING)
    for place, title in enumerate(grid.columns):
        more = max(0, min(room, cell_len(title) + PADDING - widths[place]))
        widths[place], room = widths[place] + more, room - more
    return widths


def _plain(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return cells as they are read, without the marks of what is bold."""
    return [[BOLD.sub(r"\1", cell) for cell in row] for row in rows]


def _columns(grid: Grid, places: Sequence[int]) -> Grid:
    rows = [[row[place] for place in places] for row in grid.rows]
    return Grid(grid.title, [grid.columns[place] for place in places], rows, grid.caption)


def rich_table(grid: Grid, width: int) -> Table:
    """Return the table for a terminal of so many characters, without title and caption.

    No cell of it is cut where the grid is one that :func:`fitted` returned for that width.
    """
    table = Table()
    for index, wide in enumerate(_widened(grid, width)):
        justify: Literal["left", "right"] = "right" if index else "left"
        # Said, since Rich by itself takes from cells that cannot be broken what titles ask for.
        table.add_column(
            escape(grid.columns[index]), justify=justify, width=wide - PADDING, overflow="fold"
        )
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
    """Return a mean with as many digits as half its interval leaves meaning to.

    These are two of the half, or one where three decimals have it and two of the mean. Where both
    would begin with many zeros, or have very many digits, they share an exponent.
    """
    rounding = max(RESOLUTION * abs(mean), sys.float_info.min)
    if not math.isfinite(half) or half <= rounding:
        return f"{mean:,.4g}"
    largest = max(abs(mean), half)
    decimals = 1 - _power(half)
    if SMALLEST_PLAIN <= largest < LARGEST_PLAIN:
        enough = decimals > 3 and half >= 0.0005 and largest >= PLAIN_IN_THREE
        return _spread(mean, half, 3 if enough else decimals)
    power = _power(largest)
    return f"({_spread(mean / 10.0**power, half / 10.0**power, decimals + power)})e{power}"


def _spread(mean: float, half: float, decimals: int) -> str:
    """Return a mean and half its interval; a mean that is rounded to 0 has no sign."""
    form = f"z,.{max(0, decimals)}f"
    return f"{mean:{form}} ± {half:{form}}"


def _power(value: float) -> int:
    """Return the power of ten of a number's first digit."""
    return math.floor(math.log10(value))


def brief(value: float) -> str:
    """Return a number for a narrow cell: three decimals where these say two digits of it."""
    if abs(value) >= 10:
        return f"{value:.4g}"
    return f"{value:.3f}" if value == 0 or abs(value) >= PLAIN_IN_THREE else f"{value:.2g}"


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
