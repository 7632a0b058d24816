"""Values of a table that probably stand for none, proposed as what `missing` says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.coded import among
from gatelab.tasks.tables.doubts import DOUBTFUL_SIGNS, MISSING_WORDS
from gatelab.tasks.tables.proposed_targets import TargetProposal, are_numbers
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.table import Table

_MOST_READS = 5
"""Of a file: a value that is taken for none may uncover another one."""


def with_signs(
    sheet: Sheet, proposals: Mapping[str, TargetProposal], given: Mapping[str, Any]
) -> Any:
    """Return `missing` with what must stand for none if columns are to have a kind.

    Args:
        sheet: The table.
        proposals: Of its targets.
        given: Options of the user's; a list of `missing` says all, and so does a kind of a column.
    """
    missing = given.get("missing", {})
    if not isinstance(missing, Mapping):
        return missing
    decided = {*missing, *given.get("drop", ()), *given.get("kinds", ()), given.get("weights")}
    decided |= {*proposals}
    made = {name: it.missing for name, it in proposals.items() if name not in missing}
    for name, values in sheet.columns.items():
        if name not in decided:
            made[name] = signs_among_numbers(Cells(name, values, sheet.first_row))
    return {**{name: [*map(_value, none)] for name, none in made.items() if none}, **missing}


def signs_among_numbers(cells: Cells) -> tuple[str, ...]:
    """Return signs such as ``?`` in a column that holds numbers otherwise; none of another."""
    if cells.is_number or cells.is_date:
        return ()
    coded = cells.coded
    signs = among(coded.values, DOUBTFUL_SIGNS)
    rest = coded.without(signs | among(coded.values, MISSING_WORDS))
    if not signs.any() or not are_numbers(rest):
        return ()
    return tuple(coded.texts[at] for at in np.flatnonzero(signs))


def settled(options: Mapping[str, Any], fixed: Any) -> tuple[Table, Any]:
    """Return a task and its `missing`, once that has every value that probably stands for none.

    Args:
        options: Of the task.
        fixed: Columns of which its user has said what is missing; or a list, which says all.
    """
    missing = options["missing"]
    for _ in range(_MOST_READS):
        table = Table(**{**options, "missing": missing})
        more = _doubtful(table, fixed) if isinstance(missing, Mapping) else {}
        if not more:
            break
        missing = {**missing, **{n: [*missing.get(n, ()), *it] for n, it in more.items()}}
    return table, missing


def _doubtful(table: Table, fixed: Any) -> dict[str, list[Any]]:
    """Return by column what probably stands for none: numbers and signs, but no words."""
    found = {}
    for name, values in table.contents.doubtful.items():
        words = table.contents.columns[name].kind == "category"
        found[name] = [_value(it) for it in values if not words or it.lower() in DOUBTFUL_SIGNS]
    return {name: none for name, none in found.items() if none and name not in fixed}


def _value(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?[1-9]\d{0,15}", text) else text
