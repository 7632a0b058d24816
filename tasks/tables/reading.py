"""A table is read: from its source to columns of a kind each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from gatelab.registry import near_misses
from gatelab.tasks.tables.asked import read_as, read_target
from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.keys import TableKeys
from gatelab.tasks.tables.kinds import Found, find_kind, find_number_kind
from gatelab.tasks.tables.lines import shown_text
from gatelab.tasks.tables.questions import date_feature
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.sources import read_source
from gatelab.tasks.tables.times import as_time
from gatelab.tasks.tables.wanted import Wanted
from gatelab.tasks.tables.weighing import as_weights

_NAMED = 5


def read_contents(source: object, keys: TableKeys) -> Contents:
    """Return what a table holds, every column read as one kind over all its rows.

    A column that ``kinds``, ``targets``, ``times``, ``weights`` or ``division`` names is never left
    out. A binary target has the larger value as 1, unless ``classes`` says otherwise.

    Args:
        source: Path of a CSV or Parquet file, or a frame (pandas, polars, pyarrow, NumPy).
        keys: How it is read.

    Raises:
        TableError: In one line, if the table cannot be read, or a key must settle how.
    """
    sheet = read_source(source, keys.reading, keys.wanted())
    for option, names in keys.columns().items():
        _check_columns(option, names, sheet)
    features = keys.features((*sheet.columns, *sheet.left_out))
    own = keys.of_each(sheet.columns)
    cells = _cells(sheet, features | keys.roles(), own.wanted())
    found = _read_each(cells, lambda it: _find(it, own))
    unread = {name: why for name, why in sheet.left_out.items() if name in features}
    return _contents(sheet, found, unread)


def _cells(sheet: Sheet, chosen: set[str], wanted: Wanted) -> Iterator[Cells]:
    """Yield the cells of the chosen columns, in the order of the sheet."""
    for name, values in sheet.columns.items():
        if name in chosen:
            yield Cells(name, values, sheet.first_row, wanted.missing_in(name))


def _read_each(columns: Iterable[Cells], find: Callable[[Cells], Found]) -> dict[str, Found]:
    """Return what each column is; the first that asks something names the others that do."""
    found, asking = {}, {}
    for cells in columns:
        try:
            found[cells.name] = find(cells)
        except TableError as error:
            asking[cells.name] = error
    if not asking:
        return found
    (_, first), *others = asking.items()
    names = ", ".join(f"`{shown_text(name)}`" for name, _ in others[:_NAMED])
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    raise TableError(f"{first} Other columns ask too: {names}{more}.") if others else first


def _check_columns(key: str, names: Iterable[str], sheet: Sheet) -> None:
    for name in names:
        if name in sheet.left_out and key not in {"drop", "missing"}:
            raise TableError(f"`{key}`: column `{name}` cannot be read ({sheet.left_out[name]}).")
        if name not in sheet.columns and name not in sheet.left_out:
            near = near_misses(str(name), sheet.columns)
            raise TableError(f"`{key}`: no column `{name}`; {near}")


def _find(cells: Cells, keys: TableKeys) -> Found:
    """Return a column by what is asked of it, or by what it is found to be."""
    name = cells.name
    if name == keys.weights:
        return Found(as_weights(cells))
    if (role := keys.targets.get(name)) is not None:
        return read_target(cells, role, keys.classes.get(name, ()))
    if (form := keys.times.get(name)) is not None:
        return Found(as_time(cells, form))
    if (kind := keys.kinds.get(name)) is not None:
        return read_as(cells, kind)
    return _as_found(cells)


def _as_found(cells: Cells) -> Found:
    """Return a column of which nothing is said.

    Raises:
        TableError: If it holds dates, or texts whose kind must be said.
    """
    if cells.is_date:
        at = cells.values.is_valid().index(True).as_py()
        raise date_feature(cells.name, cells.first_row + at, str(cells.values[at]))
    if cells.is_number:
        return find_number_kind(cells.name, cells.numbers(exact=True))
    return find_kind(cells.coded)


def _contents(sheet: Sheet, found: Mapping[str, Found], unread: Mapping[str, str]) -> Contents:
    columns: dict[str, Column] = {}
    left_out = dict(unread)
    for name, it in found.items():
        if it.column is None:
            left_out[name] = it.why
        else:
            columns[name] = it.column
    lines = [
        f"{f'`{name}`' if name else 'the unnamed column'} is left out: {why}."
        for name, why in unread.items()
    ]
    said = (*sheet.said, *lines, *(line for it in found.values() for line in it.said))
    doubtful = {name: it.doubtful for name, it in found.items() if it.doubtful}
    digest, first = sheet.digest, sheet.first_row
    return Contents(sheet.rows, columns, left_out, said, doubtful, digest, first)
