"""Tables made in a test, as a reader gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gatelab.tasks.tables.contents import Column, Contents
from gatelab.tasks.tables.target_columns import TargetColumn


def number(name: str, values: Sequence[float | None]) -> Column:
    return Column(name, "number", np.array(values, np.float64))


def binary(name: str, values: Sequence[float | None], words: tuple[str, str]) -> Column:
    return Column(name, "binary", np.array(values, np.float64), values=words)


def category(name: str, values: Sequence[str | None], classes: tuple[str, ...] = ()) -> Column:
    return Column(name, "category", texts=pa.array(values, pa.string()), values=classes)


def table(*columns: Column) -> Contents:
    [rows] = {len(c.numbers if c.numbers is not None else c.texts or ()) for c in columns}
    return Contents(rows, {column.name: column for column in columns}, {}, (), {}, "")


def target(name: str, kind: Any, values: Sequence[float], classes: str = "") -> TargetColumn:
    """Make a target whose classes have a letter each for a name."""
    return TargetColumn(name, kind, np.array(values, np.float64), tuple(classes))
