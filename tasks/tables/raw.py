"""Raw rows of a table, as its source has them, and the rules by which their cells are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gatelab.tasks.tables.coded import INFINITE, NUMERAL
from gatelab.tasks.tables.division import SPLIT_NUMBERS
from gatelab.tasks.tables.doubts import MISSING_WORDS
from gatelab.tasks.tables.keys import TableKeys
from gatelab.tasks.tables.kinds import WORD_PAIRS
from gatelab.tasks.tables.prepared import Prepared
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.sources import read_source
from gatelab.tasks.tables.spelling import FLOATS, REWRITTEN
from gatelab.tasks.task import SplitName

RULES: Mapping[str, Any] = {
    "numeral": NUMERAL,
    "infinite": INFINITE,
    "missing_words": MISSING_WORDS,
    "word_pairs": WORD_PAIRS,
    "spelling": {"rewritten": REWRITTEN, "floats": FLOATS},
}
"""What a text means, whatever column it stands in."""


@dataclass(frozen=True)
class Origin:
    """Where a table comes from, and how it is read."""

    source: object
    """A file's path, or a frame."""
    keys: TableKeys

    def read(self, other: object = None, reading: Mapping[str, Any] = {}) -> Sheet:
        """Return the source as it is, or another one that is read by the same keys.

        What the source was found to write decimals with holds for another one: a few rows do not
        tell a decimal comma from one between thousands.

        Args:
            other: A path or a frame.
            reading: Where the other one is written in another way, the keys that say so.

        Raises:
            TableError: If it cannot be read.
        """
        wanted = self.keys.wanted()
        own = read_source(self.source, self.keys.reading, wanted)
        if other is None:
            return own
        found = {key: value for key, value in own.reading.items() if key == "decimal"}
        others = wanted.in_another(own.columns, decimal="decimal" in reading)
        return read_source(other, {**found, **self.keys.reading, **reading}, others)


def raw_rows(prepared: Prepared, origin: Origin, name: SplitName, most: int) -> dict[str, pa.Array]:
    """Return so many rows of a split at most, the first ones, as the source has them, by column."""
    rows = pa.array(np.flatnonzero(prepared.splits == SPLIT_NUMBERS[name])[:most])
    return {column: values.take(rows) for column, values in origin.read().columns.items()}


def recipe_of(prepared: Prepared, origin: Origin) -> dict[str, Any]:
    """Return all that turns raw rows into a network's inputs and back, as plain values.

    ``columns`` has the features in the order of the inputs, ``fitted`` what is fitted to train,
    ``targets`` what comes out, and ``rules`` what a text means.
    """
    fitted = prepared.fitted
    wanted, columns = origin.keys.wanted(), {}
    for name in (*fitted.numbers, *fitted.categories):
        column = prepared.features[name]
        missing = wanted.missing_in(name)
        columns[name] = {"kind": column.kind, "values": [*column.values], "missing": [*missing]}
    targets = [
        {"name": it.name, "kind": it.kind, "classes": it.classes}
        | ({"columns": it.columns} if it.columns else {})
        for it in prepared.targets()
    ]
    return {"columns": columns, "fitted": asdict(fitted), "targets": targets, "rules": RULES}
