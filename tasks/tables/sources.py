"""Where a table comes from: a file, or a frame of pandas, polars, pyarrow or NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os.path import isfile  # pathlib's raises where a name is too long
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.decimal_commas import rewritten
from gatelab.tasks.tables.delimited import sheet_of_text
from gatelab.tasks.tables.dialect import check_reading
from gatelab.tasks.tables.files import no_file
from gatelab.tasks.tables.identity import digest_of_file, digest_of_table
from gatelab.tasks.tables.sheet import Sheet, check_no_doubles, sheet_of_typed
from gatelab.tasks.tables.wanted import Wanted


def read_source(source: object, reading: Mapping[str, Any], wanted: Wanted | None = None) -> Sheet:
    """Return the sheet of a path or a frame.

    Args:
        source: The path, or the frame.
        reading: How a text file is written, where that is said.
        wanted: Of its columns, where something is.

    Raises:
        TableError: If there is no such file, or what it holds is no table.
    """
    check_reading(reading)
    wanted = wanted or Wanted()
    if isinstance(source, (str, Path)):
        return _read_file(Path(source), reading, wanted)
    table, where = as_arrow(source, wanted), f"the {type(source).__name__}"
    check_no_doubles(table.column_names, where)
    return _typed(table, reading, wanted, digest_of_table(table), where)


def readable_again(frame: object) -> object:
    """Return a frame that can be read several times: a reader of batches is empty after one."""
    return frame.read_all() if isinstance(frame, pa.RecordBatchReader) else frame


def _read_file(path: Path, reading: Mapping[str, Any], wanted: Wanted) -> Sheet:
    if not isfile(path):
        raise TableError(no_file(path))
    try:
        digest = digest_of_file(path, reading)
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        if parquet or path.suffix in {".parquet", ".pq"}:
            return _read_parquet(path, reading, wanted, digest)
        with pa.input_stream(path, compression="detect") as stream:
            return sheet_of_text(stream.read(), reading, wanted, digest, path.name)
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())  # Arrow's have no number
        raise TableError(f"{path} cannot be read: {why}") from None


def _read_parquet(path: Path, reading: Mapping[str, Any], wanted: Wanted, digest: str) -> Sheet:
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        line = " ".join(str(error).split())
        raise TableError(f"{path.name} is no Parquet that can be read: {line}") from None
    return _typed(table, reading, wanted, digest, path.name)


def _typed(
    table: pa.Table, reading: Mapping[str, Any], wanted: Wanted, digest: str, where: str
) -> Sheet:
    """Return the sheet of a table with types, whose texts may be said to have decimal commas."""
    sheet = sheet_of_typed(table, digest, where)
    if reading.get("decimal") != ",":
        return sheet
    texts = {name: it for name, it in sheet.columns.items() if pa.types.is_large_string(it.type)}
    made, _ = rewritten(texts, wanted, ",", where, sheet.first_row, points=wanted.of_another)
    return replace(sheet, columns={**sheet.columns, **made})


def as_arrow(frame: object, wanted: Wanted | None = None) -> pa.Table:
    """Return a frame as an Arrow table, without an index.

    Args:
        frame: Of pandas, polars, pyarrow or NumPy.
        wanted: Of its columns, where something is: values of several types are texts then.

    Raises:
        TableError: If it is no frame, or a column of which nothing is wanted holds such values.
    """
    if isinstance(frame, pa.Table):
        return _plain(frame)
    named = _named_columns(frame)
    if named is not None:
        wanted = wanted or Wanted()
        return pa.table({name: _column(name, it, wanted) for name, it in named.items()})
    if hasattr(frame, "__arrow_c_stream__") and not hasattr(frame, "iloc"):
        return _plain(_of_stream(frame))
    raise _no_table(frame)


def _no_table(given: object) -> TableError:
    return TableError(
        "a table is a path, or a frame of pandas, polars, pyarrow or NumPy, "
        f"but got a {type(given).__name__}."
    )


def _of_stream(frame: Any) -> pa.Table:
    try:
        return pa.table(frame)
    except pa.ArrowException as error:
        why = " ".join(str(error).split())
        if "non-struct" in why:  # a stream of one column's values, as a Series is
            raise _no_table(frame) from None
        raise TableError(
            f"the {type(frame).__name__} has a column that Arrow cannot hold ({why}): leave it out."
        ) from None


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without Arrow's forms that say the same in less room."""
    for at, field in enumerate(table.schema):
        if pa.types.is_run_end_encoded(field.type):
            decoded = [pc.run_end_decode(chunk) for chunk in table.column(at).chunks]
            column = pa.chunked_array(decoded, field.type.value_type)
            table = table.set_column(at, field.name, column)
    return table


def _named_columns(frame: Any) -> dict[str, Any] | None:
    """Return the columns of pandas and NumPy, whose values may be of several types."""
    if isinstance(frame, np.ndarray):
        return _of_array(frame)
    return _of_pandas(frame) if hasattr(frame, "iloc") and hasattr(frame, "columns") else None


def _of_array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2:
        raise TableError(f"an array must be (rows, columns), but has the shape {array.shape}.")
    return {f"c{at}": values for at, values in enumerate(array.T, start=1)}


def _of_pandas(frame: Any) -> dict[str, Any]:
    if getattr(frame.columns, "nlevels", 1) > 1:
        raise TableError("the frame's columns have several levels of names; give each one name.")
    names = [str(name) for name in frame.columns]
    check_no_doubles(names, "the frame")
    return {name: frame.iloc[:, at] for at, name in enumerate(names)}


def _column(name: str, values: Any, wanted: Wanted) -> pa.Array:
    try:
        if hasattr(getattr(values, "dtype", None), "tz"):  # of pandas, whose values lose their zone
            naive = pa.array(values.dt.tz_convert(None), from_pandas=True)
            return naive.cast(pa.timestamp(naive.type.unit, "UTC"))
        return pa.array(_dense(values), from_pandas=True)
    except (pa.ArrowException, OverflowError) as error:
        if wanted.is_said(name):
            return _texts(values)
        why = str(error).partition(":")[0]
        raise TableError(
            f"`{name}` holds values of several types, or none of a table ({why}); make them one, "
            f"or `kinds: {{{name}: category}}` takes their texts, or `drop: [{name}]`."
        ) from None


def _texts(values: Any) -> pa.Array:
    """Return values as texts, as a CSV would have them, those for none as null."""
    none = values.isna() if hasattr(values, "isna") else [it is None or it != it for it in values]
    found = [None if gone else str(it) for it, gone in zip(values, none, strict=True)]
    return pa.array(found, pa.large_string())


def _dense(values: Any) -> Any:
    """Return a column in a form that Arrow takes: none sparse, of another machine, or longer."""
    if hasattr(values, "sparse"):  # a pandas accessor, which only sparse columns have
        return values.sparse.to_dense()
    kind = getattr(values, "dtype", None)
    if not isinstance(kind, np.dtype) or kind.kind not in "iufM":
        return values
    if kind.kind == "f" and kind.itemsize > 8:
        return values.astype(np.float64)
    return values if kind.isnative else values.astype(kind.newbyteorder("="))
