"""A table is read: from its source to columns of a kind each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gatelab.registry import near_misses
from gatelab.tasks.tables.asked import read_as, read_target
from gatelab.tasks.tables.cells import Cells, texts_of
from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.date_forms import ISO
from gatelab.tasks.tables.kinds import Found, find_kind, find_number_kind
from gatelab.tasks.tables.lines import shown_text
from gatelab.tasks.tables.questions import date_feature
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.sources import read_source
from gatelab.tasks.tables.times import as_time
from gatelab.tasks.tables.wanted import OTHERS, wanted_of
from gatelab.tasks.tables.weighing import as_weights
from gatelab.tasks.target import Kind

_NAMED = 5


def read_contents(
    source: object,
    *,
    kinds: Mapping[str, str | Sequence[str]] = {},
    missing: Iterable[object] | Mapping[str, Iterable[object]] = (),
    drop: Iterable[str] = (),
    only: Iterable[str] | None = None,
    reading: Mapping[str, Any] = {},
    targets: Mapping[str, Kind] = {},
    classes: Mapping[str, Sequence[str]] = {},
    times: Iterable[str] | Mapping[str, str] = (),
    weights: str | None = None,
    division: str | None = None,
) -> Contents:
    """Return what a table holds, every column read as one kind over all its rows.

    A column that ``kinds``, ``targets``, ``times``, ``weights`` or ``division`` names is never left
    out. A binary target has the larger value as 1, unless ``classes`` says otherwise.

    Args:
        source: Path of a CSV or Parquet file, or a frame (pandas, polars, pyarrow, NumPy).
        kinds: Of columns, ``number``, ``binary``, ``category`` or a list of levels in order;
            ``*`` is every column that is not named, unless one is called so.
        missing: Values that stand for none, in all columns but that of weights, whose 0 is a
            value, or by column; ``inf`` is any infinity.
        drop: Columns that are not read.
        only: The features to read, all where it is None; targets and times are read anyway.
        reading: Of a CSV, ``delimiter``, ``decimal``, ``encoding``, ``header``; found otherwise.
        targets: The kind of each target: ``regression``, ``binary`` or ``multiclass``.
        classes: Of targets, in order, in one spelling a value; of a binary one that of 1 will do.
        times: Columns of numbers or dates that rows are ordered by, with the form of the dates
            (``iso``, or one of ``datetime.strptime``) where this is a mapping.
        weights: The column of what rows weigh.
        division: The column of what group or split rows are of: one text for each value, however it
            is written.

    Raises:
        TableError: In one line, if the table cannot be read, or a key must settle how.
    """
    wanted = wanted_of(
        kinds=kinds,
        missing=missing,
        drop=drop,
        only=only,
        targets=targets,
        times=times,
        weights=weights,
        division=division,
    )
    sheet = read_source(source, reading, wanted)
    forms = dict(times) if isinstance(times, Mapping) else dict.fromkeys(times, ISO)
    weighing = () if weights is None else (weights,)
    dividing = () if division is None else (division,)
    by_column = _missing_of_each(missing, sheet, weights)
    kinds = {**_of_each(kinds, sheet), **dict.fromkeys(dividing, "category")}
    asked: dict[str, Iterable[str]] = {"split": (*forms, *dividing), "weights": weighing}
    asked |= {"targets": targets, "kinds": kinds, "drop": drop, "only": only or ()}
    for key, names in asked.items():
        _check_columns(key, names, sheet)
    if isinstance(missing, Mapping):
        _check_columns("missing", missing, sheet)
    named = {*sheet.columns, *sheet.left_out} if only is None else {*only}
    read = named - {*drop}
    chosen = read | {*targets, *forms, *weighing, *dividing}

    def find(cells: Cells) -> Found:
        name = cells.name
        if name == weights:
            return Found(as_weights(cells))
        if name in targets:
            return read_target(cells, targets[name], classes.get(name, ()))
        return _find(cells, kinds.get(name), forms.get(name))

    found = _read_each(
        (
            Cells(name, values, sheet.first_row, tuple(texts_of(by_column.get(name, ()))))
            for name, values in sheet.columns.items()
            if name in chosen
        ),
        find,
    )
    unread = {name: why for name, why in sheet.left_out.items() if name in read}
    return _contents(sheet, found, unread)


def _missing_of_each(
    missing: Iterable[object] | Mapping[str, Iterable[object]], sheet: Sheet, weights: str | None
) -> Mapping[str, Iterable[object]]:
    """Return what stands for none by column."""
    if isinstance(missing, Mapping):
        return missing
    return dict.fromkeys((name for name in sheet.columns if name != weights), missing)


def _of_each(
    kinds: Mapping[str, str | Sequence[str]], sheet: Sheet
) -> Mapping[str, str | Sequence[str]]:
    """Return the kinds with a column's name each in place of ``*``."""
    if OTHERS not in kinds or OTHERS in sheet.columns:
        return kinds
    named = {name: kind for name, kind in kinds.items() if name != OTHERS}
    return {**dict.fromkeys(sheet.columns, kinds[OTHERS]), **named}


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


def _find(cells: Cells, kind: str | Sequence[str] | None, form: str | None) -> Found:
    """Return a column by what is asked of it, or by what it is found to be."""
    if form is not None:
        return Found(as_time(cells, form))
    if kind is not None:
        return read_as(cells, kind)
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
