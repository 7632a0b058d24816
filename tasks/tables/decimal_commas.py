"""Texts that are numbers with a decimal comma: found or said, and rewritten with a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gatelab.tasks.tables.coded import NUMERAL, Coded, among, code_texts, matches
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.doubts import DOUBTFUL_SIGNS, MISSING_WORDS
from gatelab.tasks.tables.lines import drop_key, kind_key
from gatelab.tasks.tables.spelling import canonical
from gatelab.tasks.tables.wanted import Wanted

_COMMA = r"^[+-]?(\d*|[1-9]\d{0,2}(\.\d{3})+),\d+([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"
_COMMAS_OF_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"
_KEY = '`reading: {decimal: ","}`'
_POINT = '`reading: {decimal: "."}`'


@dataclass(frozen=True)
class _Column:
    """A column of text, without what stands for none in it.

    Attributes:
        raw: As the file has it, (rows,) strings.
        coded: By its distinct values, of which those for none are left out.
        is_words: Whether it is asked for as words, or is not read.
    """

    raw: pa.Array
    coded: Coded
    is_words: bool

    @cached_property
    def commas(self) -> npt.NDArray[np.bool_]:
        """Which values are numbers with a decimal comma, (distinct,)."""
        return matches(self.coded.values, _COMMA)

    @cached_property
    def points(self) -> npt.NDArray[np.bool_]:
        """Which values are numbers with points: decimal ones, or between thousands, (distinct,)."""
        numbers = matches(self.coded.values, NUMERAL) & matches(self.coded.values, r"\.")
        return numbers | matches(self.coded.values, _THOUSANDS)

    @cached_property
    def thousands(self) -> npt.NDArray[np.bool_]:
        """Which values are whole numbers, with points between thousands or none, (distinct,)."""
        return matches(self.coded.values, f"{_WHOLE}|{_THOUSANDS}")

    @property
    def has_commas(self) -> bool:
        """Whether all values are numbers, some with a decimal comma."""
        return bool(self.commas.any()) and bool((self.commas | self.thousands).all())

    @property
    def is_numbers(self) -> bool:
        """Whether numbers are looked for in it, and at least half its values are some."""
        numbers = self.commas | self.points | self.thousands
        return not self.is_words and self.coded.counts[numbers].sum() * 2 >= self.coded.known


def rewritten(
    columns: Mapping[str, pa.Array],
    wanted: Wanted,
    decimal: str | None,
    where: str,
    first_row: int,
    *,
    points: bool = False,
) -> tuple[dict[str, pa.Array], list[str]]:
    """Return columns with a point in place of each decimal comma, and a line on those found.

    Args:
        columns: By name, (rows,) strings.
        wanted: Of the columns; one that is to be words keeps its own, unless all are numbers.
        decimal: A comma where the user has said so; None where it is to be found.
        where: What the file is called.
        first_row: What its first row is called.
        points: Whether numbers may have decimal points where no comma stands in their column.

    Raises:
        TableError: If the user must say what commas are, or a number has a point that parts no
            thousands.
    """
    read = {name: _column(name, it, wanted, first_row) for name, it in columns.items()}
    found = [name for name, it in read.items() if it.has_commas]
    if decimal is None:
        if not found:
            return {**columns}, []
        _check_commas([read[name] for name in found], where)
        _check_points([*read.values()], found[0], where)
    made = {
        name: it.raw if points and not it.commas.any() else _with_points(it, where)
        for name, it in read.items()
    }
    names = ", ".join(f"`{name}`" for name in found)
    return made, [] if decimal else [f"decimal comma in {names} ({_KEY})."]


def _column(name: str, raw: pa.Array, wanted: Wanted, first_row: int) -> _Column:
    words = wanted.as_words(name)
    coded = code_texts(name, raw, first_row)
    if words:
        return _Column(raw, coded, words)
    none = among(coded.values, (*MISSING_WORDS, *DOUBTFUL_SIGNS))
    given = pa.array(wanted.missing_in(name), pa.large_string())
    none |= np.asarray(pc.is_in(canonical(coded.values), given), dtype=bool)
    return _Column(raw, coded.without(none), words)


def _check_commas(found: Sequence[_Column], where: str) -> None:
    """Ask where all commas of a column may part thousands."""
    for it in found:
        if matches(it.coded.values, _COMMAS_OF_THOUSANDS)[it.commas].all():
            _, shown = it.coded.row(it.commas)
            raise TableError(
                f"{where}: is `{shown}` in `{it.coded.name}` a decimal comma? "
                f"{_KEY} says so; else write thousands without signs."
            )


def _check_points(columns: Sequence[_Column], other: str, where: str) -> None:
    """Ask where numbers have points, and only points, beside commas in another column."""
    for it in columns:
        if it.is_numbers and it.points.any() and not it.commas.any():
            _, shown = it.coded.row(it.points)
            raise TableError(
                f"{where}: `{it.coded.name}` has a decimal point ({shown}), `{other}` a decimal "
                f'comma: say which by {_POINT} or `","`.'
            )


def _with_points(column: _Column, where: str) -> pa.Array:
    """Return the cells of a column, of which those with a decimal comma are numbers of ours."""
    if not (column.has_commas or column.is_numbers):
        return column.raw
    _check_thousands(column, where)
    texts = pc.utf8_trim_whitespace(column.raw)
    numbers = pc.match_substring_regex(texts, f"{_COMMA}|{_THOUSANDS}")
    plain = pc.replace_substring(pc.replace_substring(column.raw, ".", ""), ",", ".")
    return pc.if_else(numbers, plain, column.raw)


def _check_thousands(column: _Column, where: str) -> None:
    """Check that no number has a point that parts no thousands, beside a decimal comma."""
    coded = column.coded
    odd = column.points & ~column.thousands
    if odd.any():
        row, shown = coded.row(odd)
        raise TableError(
            f"{where}: `{coded.name}` has `{shown}` (row {row}), but by {_KEY} points part "
            f"thousands alone: write `{shown.replace('.', ',')}`, or say {_POINT}, "
            f"{kind_key(coded.name)} or {drop_key(coded.name)}."
        )
