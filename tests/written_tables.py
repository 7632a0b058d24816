"""Tables for tests: the small files beside, and texts written as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatelab.tasks.tables.contents import Contents, TableError
from gatelab.tasks.tables.keys import TableKeys
from gatelab.tasks.tables.reading import read_contents

TABLES = Path(__file__).parent / "tables"


def write(folder: Path, text: str | bytes, name: str = "made.csv") -> Path:
    """Write a table and return its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def column(name: str, *values: object) -> str:
    """Return a CSV of one column and a counter beside it, which no rule concerns."""
    rows = [f"{value},{at}.5" for at, value in enumerate(values)]
    return "\n".join([f"{name},other", *rows, ""])


def contents_of(source: object, **keys: Any) -> Contents:
    """Return what a table holds, read by these keys."""
    return read_contents(source, TableKeys(**keys))


def numbers(contents: Contents, name: str) -> list[float | None]:
    """Return a column's numbers, None where one is missing."""
    found = contents.columns[name].numbers
    assert found is not None
    return [None if it != it else float(it) for it in found]


def texts(contents: Contents, name: str) -> list[str | None]:
    """Return a category's texts, None where one is missing."""
    found = contents.columns[name].texts
    assert found is not None
    return list(found.to_pylist())


def said(contents: Contents, *parts: str) -> bool:
    """Return whether one line holds all the parts."""
    return any(all(part in line for part in parts) for line in contents.said)


def refused(source: object, *parts: str, **keys: Any) -> None:
    """Check that a table is refused in one line that holds all the parts."""
    with pytest.raises(TableError) as caught:
        contents_of(source, **keys)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 300, line
    assert all(part in line for part in parts), line
