"""A column that orders rows: numbers, or dates as seconds of the epoch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.coded import Coded
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.date_forms import ISO, likelier, seconds
from gatelab.tasks.tables.lines import in_yaml, name_in_yaml, shown_text


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
    times = seconds(coded.texts, form)
    if np.isnan(times).any():
        raise _no_date(coded, np.isnan(times), form)
    return times


def _no_date(coded: Coded, odd: npt.NDArray[np.bool_], form: str) -> TableError:
    """Return the refusal of dates of another form, with what fits, or of values that are none."""
    fits = likelier(coded.texts, form)
    row, value = coded.row(next((fit for fit in fits.values() if (fit & odd).any()), odd) & odd)
    what = f"`{coded.name}` has `{shown_text(value)}` (row {row}), no date of the form {form}"
    name = name_in_yaml(coded.name)
    keys = [f"`split: {{time: {name}, format: {in_yaml(it)}}}`" for it in fits]
    if not keys:
        return TableError(f"{what}: write it so.")
    which = "; is the day or the month first?" if len(keys) > 1 else "."
    return TableError(f"{what}: say its `format`, as {' or '.join(keys)}{which}")
