"""Rows that commands print: a table where the console has room for one, else paragraphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gatelab.sweeps.cli.console import is_limited, open_console, show_sentences, show_trimmed

LEAST_TEXT = 24
"""Characters below which a column of sentences is no pleasure to read."""
BETWEEN = 2
"""Blanks between columns, and before what stands below a name."""

RowsOfText = Sequence[Sequence[str]]


def show_rows(
    columns: Sequence[str],
    rows: RowsOfText,
    *,
    title: str = "",
    header: bool = True,
    whole: bool = False,
) -> None:
    """Print rows as a table; where none fits whose words are whole, each as a paragraph.

    Args:
        columns: Their names; of one without a name the cells speak for themselves.
        rows: The cells of each; the first is its name.
        title: Above the rows.
        header: Whether the table says the names of the columns.
        whole: Whether a log has each row in one line, however long.
    """
    columns, rows = _told_of(columns, rows)
    console, shown = open_console(), columns if header else [""] * len(columns)
    if whole and not is_limited():
        console = open_console(sum(_natural(shown, rows)) + BETWEEN * len(columns))
    if title:
        show_trimmed(console, Text(title, "italic"))
    if widths := _widths(shown, rows, console.width):
        show_trimmed(console, _table(shown, rows, widths, header=header))
    else:
        _show_paragraphs(console, columns, rows)


def show_commands(steps: Mapping[str, str]) -> None:
    """Print commands to copy, none of them broken, each with what it is for.

    Args:
        steps: What each does, by command; empty where the command says it.
    """
    console, wide = open_console(), max(map(cell_len, steps))
    beside = [f"  {step:{wide}}  # {why}" if why else f"  {step}" for step, why in steps.items()]
    if not is_limited() or max(map(cell_len, beside)) <= console.width:
        show_sentences(console, beside)
        return
    for step, why in steps.items():
        if why:
            show_sentences(console, [f"  # {why}"], hang=4)
        console.print(f"  {step}", highlight=False, markup=False, soft_wrap=True)


def _told_of(columns: Sequence[str], rows: RowsOfText) -> tuple[list[str], list[list[str]]]:
    """Return the columns of which any row says anything."""
    kept = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    return [columns[it] for it in kept], [[row[it] for it in kept] for row in rows]


def _natural(columns: Sequence[str], rows: RowsOfText) -> list[int]:
    return [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]


def _least(columns: Sequence[str], rows: RowsOfText) -> list[int]:
    """Return the width that each column must have: its cells whole, or a text's words."""
    cells = zip(*rows, strict=True)
    return [
        max(_longest_word(name), *map(_least_of_cell, column))
        for name, column in zip(columns, cells, strict=True)
    ]


def _least_of_cell(cell: str) -> int:
    return max(min(cell_len(cell), LEAST_TEXT), _longest_word(cell))


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _widths(columns: Sequence[str], rows: RowsOfText, width: int) -> list[int]:
    """Return the width of each column, the last ones broken first; none where no table fits."""
    found = _least(columns, rows)
    room = width - sum(found) - BETWEEN * (len(columns) - 1)
    if room < 0:
        return []
    for number, natural in enumerate(_natural(columns, rows)):
        more = min(room, natural - found[number])
        found[number] += more
        room -= more
    return found


def _table(
    columns: Sequence[str], rows: RowsOfText, widths: Sequence[int], *, header: bool
) -> Table:
    table = Table(box=None, pad_edge=False, show_header=header)
    for name, width in zip(columns, widths, strict=True):
        table.add_column(Text(name), width=width, overflow="fold")
    for first, *others in rows:
        table.add_row(Text(first, "bold"), *map(Text, others))
    return table


def _show_paragraphs(console: Console, columns: Sequence[str], rows: RowsOfText) -> None:
    for first, *others in rows:
        if first:
            show_trimmed(console, Text(first.strip(), "bold"))
        for name, cell in zip(columns[1:], others, strict=True):
            if cell:
                text = Text(f"{name.strip()}: {cell.strip()}" if name else cell)
                show_trimmed(console, Padding(text, (0, 0, 0, BETWEEN)))
