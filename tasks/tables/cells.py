"""One column of a sheet, without the values that its user takes for missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gatelab.tasks.tables.coded import Coded, as_numbers, code_texts
from gatelab.tasks.tables.identity import EXACT, beyond_exact
from gatelab.tasks.tables.questions import infinite_number, past_exact
from gatelab.tasks.tables.spelling import canonical


@dataclass(frozen=True)
class Cells:
    """A column as its source has it.

    Attributes:
        name: The column's.
        values: Strings, booleans, whole numbers, float64, dates or timestamps, (rows,).
        first_row: What its first row is called.
        missing: What is taken for none, texts in their one spelling; ``inf`` is any infinity.
    """

    name: str
    values: pa.Array
    first_row: int
    missing: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether the source gives numbers, not texts."""
        kind = self.values.type
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    @property
    def is_date(self) -> bool:
        """Whether the source gives dates, not texts."""
        return bool(pa.types.is_date(self.values.type) or pa.types.is_timestamp(self.values.type))

    @cached_property
    def coded(self) -> Coded:
        """The column as text, by its distinct values."""
        coded = code_texts(self.name, self.values.cast(pa.large_string()), self.first_row)
        if not self.missing:
            return coded
        words = np.asarray(pc.is_in(canonical(coded.values), self._texts), dtype=bool)
        return coded.without(words | self._none(coded.numbers))

    def numbers(self, *, exact: bool, finite: bool = True) -> npt.NDArray[np.float64]:
        """Return a column of numbers, or of dates in seconds of the epoch, (rows,) float64.

        Args:
            exact: Whether a whole number that float64 rounds is asked about.
            finite: Whether an infinite number is refused here, as one that may be taken for none.

        Raises:
            TableError: If a number is infinite, or rounded.
        """
        if exact and pa.types.is_integer(self.values.type) and beyond_exact(self.values):
            at = next(n for n, it in enumerate(self.values.to_pylist()) if abs(it or 0) > EXACT)
            raise past_exact(self.name, self.first_row + at, str(self.values[at]))
        numbers = np.array(self._as_float().fill_null(np.nan), dtype=np.float64)
        numbers[self._none(numbers)] = np.nan
        infinite = np.flatnonzero(np.isinf(numbers))
        if finite and len(infinite):
            at = int(infinite[0])
            raise infinite_number(self.name, self.first_row + at, f"{numbers[at]:g}")
        return numbers

    def _as_float(self) -> pa.Array:
        if not self.is_date:
            return self.values.cast(pa.float64(), safe=False)
        micros = self.values.cast(pa.timestamp("us", getattr(self.values.type, "tz", None)), False)
        return pc.divide(micros.cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)

    @property
    def _texts(self) -> pa.Array:
        return pa.array(self.missing, pa.large_string())

    def _none(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which numbers are taken for none, whatever way they are written."""
        named = as_numbers(self._texts)
        named = named[~np.isnan(named)]
        none = np.isin(numbers, named)
        return none | np.isinf(numbers) if np.isinf(named).any() else none


def texts_of(values: Iterable[object]) -> list[str]:
    """Return values of a spec as a table writes them: `true` and `1` for True and 1.0."""
    texts = [str(it).lower() if isinstance(it, bool) else str(it).strip() for it in values]
    spelled: list[str] = canonical(pa.array(texts, pa.large_string())).to_pylist()
    return spelled
