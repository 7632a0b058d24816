"""What a table is known by: a digest of what was read, wherever it lies and whoever made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EXACT = 2**53
"""Whole numbers past it are no longer told apart as float64."""


def digest_of_file(path: Path, reading: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a file's bytes and of the keys that it is read by, as hexadecimal.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        made = hashlib.file_digest(file, "sha256")
    if reading:
        made.update(json.dumps(dict(reading), sort_keys=True).encode())
    return made.hexdigest()


def digest_of_table(table: pa.Table) -> str:
    """Return the SHA-256 of a frame's names and values, as hexadecimal.

    Chunks, dictionaries, widths of numbers and the library that made the frame are no part of
    it: whole numbers count as float64, as a gap makes them in pandas, and NaN as missing.
    """
    made = hashlib.sha256()
    for name in table.column_names:
        _add_column(made.update, name, _combined(table[name]))
    return made.hexdigest()


def _combined(column: pa.ChunkedArray) -> pa.Array:
    column = decoded(column)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with its values in place of a dictionary's places, whatever they are."""
    if not pa.types.is_dictionary(column.type):
        return column
    kind = column.type.value_type
    kind = pa.large_string() if is_text(kind) else kind  # no view, which Arrow cannot take from
    values = [(chunk.dictionary, chunk.indices) for chunk in column.chunks]
    return pa.chunked_array([_as(kind, it).take(places) for it, places in values], kind)


def _as(kind: pa.DataType, values: pa.Array) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _add_column(add: Callable[[bytes], None], name: str, values: pa.Array) -> None:
    """Add a column's name, type, which rows have a value, and the values: each with its length."""
    kind, values = _plain(values)
    for word in (name, kind):
        encoded = word.encode()
        add(len(encoded).to_bytes(8, "little") + encoded)
    valid = np.asarray(values.is_valid())
    add(len(valid).to_bytes(8, "little") + np.packbits(valid).tobytes())
    if kind == "number":
        add(np.asarray(values.fill_null(0.0), dtype="<f8").tobytes())
    else:
        _add_texts(add, values.fill_null(""))


def _plain(values: pa.Array) -> tuple[str, pa.Array]:
    """Return a column as numbers, or as the texts of what is none, with the word for it."""
    kind = values.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = as_float(values)
        return "number", pc.if_else(pc.is_nan(numbers), None, numbers)
    if pa.types.is_integer(kind) and not beyond_exact(values):
        return "number", values.cast(pa.float64())
    if any(test(kind) for test in _SHOWN):
        return str(kind), pa.array([repr(it) for it in values.to_pylist()], pa.large_string())
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        return "time", values.cast(pa.large_string())
    word = "text" if is_text(kind) else str(values.type)
    return word, values.cast(pa.large_string())


_SHOWN = (
    *(pa.types.is_nested, lambda kind: isinstance(kind, pa.BaseExtensionType)),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    pa.types.is_fixed_size_binary,
)
"""Types of which no cast makes texts."""


def _add_texts(add: Callable[[bytes], None], texts: pa.Array) -> None:
    add(np.asarray(pc.binary_length(texts), dtype="<i8").tobytes())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    add(bytes(memoryview(data)[ends[0] : ends[-1]]) if data is not None else b"")


def as_float(values: pa.Array) -> pa.Array:
    """Return numbers as float64, decimals as the nearest one: Arrow's own cast makes 3.30 more."""
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.large_string())
    return values.cast(pa.float64(), safe=False)


def beyond_exact(values: pa.Array) -> bool:
    """Return whether whole numbers reach beyond what float64 tells apart."""
    ends = pc.min_max(values).as_py()
    return len(values) > 0 and any(abs(it) > EXACT for it in ends.values() if it is not None)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type of Arrow's is text."""
    return kind in (pa.string(), pa.large_string(), pa.string_view())
