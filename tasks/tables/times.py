"""A column that orders rows: numbers, or dates as seconds of the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.coded import Coded
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.lines import name_in_yaml, shown_text

ISO = "iso"
"""The form of dates that is no other's: year, month, day, and a time where there is one."""


def as_time(cells: Cells, form: str) -> Column:
    """Return a column of numbers or dates as numbers, seconds of the epoch for dates.

    Args:
        cells: The column.
        form: ``iso``, or one of ``datetime.strptime``; a date without a zone is in UTC.

    Raises:
        TableError: If a value is missing or no date of this form.
    """
    if cells.is_number or cells.is_date:
        times = cells.numbers(exact=False, finite=False)
    else:
        times = cells.coded.spread(_times_of_text(cells.coded, form))
    gaps = np.flatnonzero(~np.isfinite(times))
    if len(gaps):
        what = "no value" if np.isnan(times[gaps[0]]) else f"{times[gaps[0]]:g}"
        row = cells.first_row + int(gaps[0])
        raise TableError(f"`{cells.name}` is a time, but has {what} in row {row}.")
    return Column(cells.name, "number", times)


def _times_of_text(coded: Coded, form: str) -> npt.NDArray[np.float64]:
    """Return the distinct values as times, (distinct,)."""
    if form == ISO and not np.isnan(coded.numbers).any():
        return coded.numbers
    seconds = np.array([_seconds(text, form) for text in coded.texts])
    if np.isnan(seconds).any():
        row, value = coded.row(np.isnan(seconds))
        raise TableError(
            f"`{coded.name}` has `{shown_text(value)}` (row {row}), no date of the form {form}: "
            f"say its `format`, as `split: {{time: {name_in_yaml(coded.name)}, "
            'format: "%d/%m/%Y"}`.'
        )
    return seconds


def _seconds(text: str, form: str) -> float:
    """Return a date in seconds of the epoch; NaN if it is none of this form."""
    try:
        moment = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
