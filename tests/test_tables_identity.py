"""A table is known by what was read, not by where it lies or who made the frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gatelab.tasks.tables.identity import digest_of_table
from tests.written_tables import TABLES, contents_of, write

COLUMNS = {
    "n": [1, None, 3],
    "c": ["b", None, "a"],
    "f": [True, None, False],
    "x": [0.5, 1.5, None],
}


def digest(source: object) -> str:
    return contents_of(source).digest


def test_a_file_is_its_bytes_and_the_keys_it_is_read_by(tmp_path: Path) -> None:
    first = write(tmp_path, "a,b\n1,2\n2,3\n")
    (tmp_path / "elsewhere").mkdir()
    same = write(tmp_path / "elsewhere", "a,b\n1,2\n2,3\n", "other.csv")
    assert digest(first) == digest(same) and len(digest(first)) == 64
    assert digest(write(tmp_path, "a,b\n1,2\n2,4\n")) != digest(same)
    assert contents_of(same, reading={"header": True}).digest != digest(same)


def test_a_frame_is_its_values_whoever_made_it() -> None:
    table = pa.table(COLUMNS)
    coded = table.set_column(1, "c", table["c"].dictionary_encode())
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    small = table.set_column(0, "n", table["n"].cast(pa.int8()))
    large = table.set_column(1, "c", table["c"].cast(pa.large_string()))
    view = table.set_column(1, "c", table["c"].cast(pa.string_view()))
    forms = [coded, chunked, small, large, view, pd.DataFrame(COLUMNS), table.to_pandas()]
    forms += [table.to_pandas(types_mapper=pd.ArrowDtype), pd.DataFrame(COLUMNS).convert_dtypes()]
    assert {digest(form) for form in forms} == {digest(table)}


@pytest.mark.parametrize(
    "other",
    [
        {**COLUMNS, "n": [1, 0, 3]},  # a null slot is not its filler
        {**COLUMNS, "c": ["b", "", "a"]},
        {**COLUMNS, "c": ["ba", None, ""]},  # where one text ends is told
        {**COLUMNS, "x": [0.5, None, 1.5]},
        {"c": COLUMNS["c"], "n": COLUMNS["n"], "f": COLUMNS["f"], "x": COLUMNS["x"]},
        {**COLUMNS, "n": ["1", None, "3"]},
    ],
)
def test_other_values_are_another_table(other: dict[str, list[object]]) -> None:
    assert digest_of_table(pa.table(other)) != digest_of_table(pa.table(COLUMNS))


def test_dictionary_and_text_are_one_in_parquet_too() -> None:
    path = TABLES / "parquet_dictionary.parquet"
    coded = pq.read_table(path)
    plain = coded.set_column(0, "c", coded["c"].cast(pa.string()))
    assert digest(coded) == digest(plain)
    found = [contents_of(it).columns["c"].texts for it in (path, plain)]
    assert found[0] is not None and found[0].equals(found[1])
    assert found[0].to_pylist() == ["b", "a", None, "b"]


def test_whole_numbers_past_float_stay_apart() -> None:
    first, second = (pa.table({"n": [2**53 + at, 1]}) for at in (1, 2))
    assert digest_of_table(first) != digest_of_table(second)
    dates = [pa.table({"t": pd.to_datetime([day])}) for day in ("2026-01-01", "2026-01-02")]
    assert digest_of_table(dates[0]) != digest_of_table(dates[1])
