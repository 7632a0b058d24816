"""Tables are read whole: delimiters, headers, encodings, rows, frames, names."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import os
import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.keys import TableKeys
from gatelab.tasks.tables.raw import Origin
from gatelab.tasks.tables.row_numbers import FirstRow
from tests.written_tables import TABLES, contents_of, numbers, refused, said, texts, write


def test_a_mark_before_the_header_is_no_part_of_a_name() -> None:
    contents = contents_of(TABLES / "bom_utf8.csv")
    assert [*contents.columns] == ["age", "y"] and contents.rows == 6
    assert contents.said == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_marks_of_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = ("\ufeff" if encoding == "utf-16-be" else "") + "stadt,y\nKöln,0\nBonn,1\nKöln,1\n"
    contents = contents_of(write(tmp_path, text.encode(encoding)))
    assert texts(contents, "stadt") == ["Köln", "Bonn", "Köln"]


def test_another_encoding_is_asked_for_and_read() -> None:
    path = TABLES / "cp1252_names.csv"
    refused(path, "line 2", "0xfc", "encoding: cp1252")
    contents = contents_of(path, reading={"encoding": "cp1252"})
    assert texts(contents, "stadt")[0] == "München"


def test_the_byte_is_named_by_the_line_where_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,b\n" + b"1,x\n" * 30 + b"2,\xe9\n")
    refused(path, "line 32", "0xe9", "encoding")
    refused(path, "line 32", "0xe9", "ascii", reading={"encoding": "ascii"})


def test_semicolons_and_decimal_commas_are_said() -> None:
    contents = contents_of(TABLES / "delim_semicolon_decimal_comma.csv")
    assert numbers(contents, "weight")[:2] == [60.05, 61.15]
    assert {it.kind for it in contents.columns.values()} == {"number"}
    assert said(contents, "delimiter", ";", "reading")
    assert said(contents, "decimal comma", "`weight`", "`weeks`", 'decimal: ","')


def test_a_line_of_a_wide_table_may_be_longer_than_a_field(tmp_path: Path) -> None:
    """By another delimiter it is one field, of more characters than Python's reader takes."""
    row = ",".join(f"{at}.123456789" for at in range(9_000))
    names = ",".join(f"c{at}" for at in range(9_000))
    path = write(tmp_path, "\n".join([names, *(f"{at}{row}" for at in range(1, 5))]))
    assert len(row) > csv.field_size_limit() / 2 and len(f"{row}{row}") > csv.field_size_limit()
    assert len(contents_of(path, only=["c0", "c8999"]).left_out) == 1
    wider = write(tmp_path, "\n".join([f"{names},{names.replace('c', 'd')}", f"{row},{row}"]))
    one = "by the delimiter ';' rows are one field, of 267,779 characters"
    refused(wider, one, reading={"delimiter": ";"})


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_delimiters_are_found_beside_others_in_texts(tmp_path: Path, sign: str) -> None:
    fields = [
        ["name", "street", "y"],
        *[[f"n{at % 3}", '"a; b, c | d"', str(at)] for at in range(9)],
    ]
    contents = contents_of(write(tmp_path, "\n".join(map(sign.join, fields))))
    assert numbers(contents, "y") == [float(at) for at in range(9)]
    assert said(contents, "delimiter") == (sign != ",")


def test_one_column_asks_for_the_delimiter(tmp_path: Path) -> None:
    refused(write(tmp_path, "address\nhill\nhall\n"), "one column", "delimiter")
    path = write(tmp_path, "a:b\n1:2\n3:4\n")
    refused(path, "delimiter")
    assert numbers(contents_of(path, reading={"delimiter": ":"}), "b") == [2, 4]


def test_a_decimal_comma_that_may_part_thousands_is_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path, "a;b\n1;1,250\n2;3,500\n")
    refused(path, "`1,250`", "decimal")
    assert numbers(contents_of(path, reading={"decimal": ","}), "b") == [1.25, 3.5]
    refused(write(tmp_path, "a;b\n1.5;1,25\n2.5;3,5\n"), "decimal point", "decimal comma")


def test_a_column_without_a_name_that_counts_rows_is_left_out(tmp_path: Path) -> None:
    contents = contents_of(TABLES / "unnamed_index.csv")
    assert [*contents.columns] == ["a", "y"]
    assert said(contents, "unnamed", "row numbers")
    counted = write(tmp_path, ",a\n1,0.5\n2,1.5\n")
    assert said(contents_of(counted), "unnamed", "row numbers")
    refused(write(tmp_path, ",a\n1,0.5\n3,1.5\n"), "no name")
    refused(write(tmp_path, ",,a\n1,0,0.5\n2,0,1.5\n"), "2 columns have no name")


def test_a_header_that_looks_like_data_is_asked_about(tmp_path: Path) -> None:
    path = TABLES / "no_header.csv"
    refused(path, "header looks like data", "header: false", "c1 to c4")
    contents = contents_of(path, reading={"header": False}, kinds={"c2": "category"})
    assert [*contents.columns] == ["c1", "c2", "c3", "c4"] and contents.rows == 8
    assert texts(contents, "c2")[0] == "Private"
    years = write(tmp_path, "land,2019,2020\nA,1.5,2.5\nB,3.5,4.5\n")
    refused(years, "`2019`", "header: true")
    assert numbers(contents_of(years, reading={"header": True}), "2020") == [2.5, 4.5]
    refused(write(tmp_path, "Private,>50K\nState,<=50K\nPrivate,>50K\n"), "`Private`", "header")


def test_names_are_stripped_distinct_and_near_ones_offered(tmp_path: Path) -> None:
    path = TABLES / "target_typo.csv"
    refused(path, "no column `income`", "did you mean 'Income'", targets={"income": "binary"})
    for key in ("drop", "only", "kinds", "missing"):
        value: Any = {"weks": ("1",)} if key in {"kinds", "missing"} else ["weks"]
        refused(path, f"`{key}`", "`weks`", "'weeks'", **{key: value})
    refused(TABLES / "duplicate_header.csv", "two columns are called `x`")
    refused(write(tmp_path, "a, a,b\n1,2,3\n"), "two columns are called `a`")


def test_rows_of_another_length_are_refused_with_their_number(tmp_path: Path) -> None:
    refused(TABLES / "ragged_long_row.csv", "row 4 has 4 fields, the header 3")
    refused(write(tmp_path, "a,b,c\n1,2,3\n4,5\n6,7,8\n"), "row 3 has 2 fields, the header 3")
    headless = write(tmp_path, "1,x\n2,x\n3\n")
    refused(headless, "row 3 has 1 field", "the first row 2", reading={"header": False})


def test_a_delimiter_at_the_end_of_each_row_is_dropped(tmp_path: Path) -> None:
    contents = contents_of(TABLES / "ragged_trailing_comma.csv")
    assert numbers(contents, "a") == [0, 1, 2, 3, 4, 5]
    assert numbers(contents, "y") == [0, 1, 0, 1, 0, 1]
    assert said(contents, "empty last field dropped")
    late = "a;b\n" + "1;2;\n" * 20_000 + "1;2;9\n"
    refused(write(tmp_path, late), "fields, the header 2")


def test_newlines_and_delimiters_in_quotes_are_values(tmp_path: Path) -> None:
    contents = contents_of(TABLES / "quoted_newline.csv")
    assert contents.rows == 6 and "text" in contents.left_out["note"]
    assert said(contents, "`note` is left out", "text")
    rows = "".join(f'{at},"line\none, two",{at % 2}\n' for at in range(60_000))
    large = contents_of(write(tmp_path, "id,note,y\n" + rows), drop=["note"])
    assert large.rows == 60_000 and numbers(large, "id")[-1] == 59_999


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path, 'a,b\n1,x\n2,"y\n3,x\n4,y\n'), "never closed")
    inches = contents_of(write(tmp_path, 'a,b\n1,5" pipe\n2,x\n'))
    assert texts(inches, "b") == ['5" pipe', "x"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"a,b\n", "no rows"),
        (b"PK\x03\x04 and more", "Excel"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "gzip file: unpack it"),
        (bz2.compress(b"a,b\n1,2\n"), "bzip2 file: unpack it"),
        (lzma.compress(b"a,b\n1,2\n"), "xz file: unpack it"),
        (pickle.dumps([1, 2], protocol=5), "pickle: save it as CSV or Parquet"),
        (b"SQLite format 3\0 and more", "SQLite database: save it"),
        (b"\x89PNG\r\n\x1a\n", "picture: it holds no table"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"a,b\n1,\x00\n", "NUL"),
        (b"PAR1 and then nothing of it", "Parquet"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: bytes, part: str) -> None:
    refused(write(tmp_path, text), "made.csv", part)
    refused(TABLES / "empty_file.csv", "empty")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,2\n", "patients.csv")
    refused(tmp_path / "patient.csv", "no file", "'patients.csv'")
    refused(tmp_path, "folder")
    refused(tmp_path / "none" / "a.csv", "no folder")
    refused(3, "a table is a path", "int")


@pytest.mark.parametrize(
    ("reading", "part"),
    [
        ({"delimeter": ";"}, "did you mean 'delimiter'"),
        ({"delimiter": ";;"}, "one character"),
        ({"encoding": "utf-9"}, "encoding"),
        ({"header": "no"}, "true or false"),
        ({"decimal": ";"}, "`.` or `,`"),
    ],
)
def test_keys_of_reading_are_checked(reading: dict[str, Any], part: str) -> None:
    refused(TABLES / "few_rows.csv", part, reading=reading)


def test_few_rows_are_read() -> None:
    assert contents_of(TABLES / "few_rows.csv").rows == 4


def test_decimals_of_parquet_are_numbers_and_lists_left_out() -> None:
    contents = contents_of(TABLES / "parquet_decimal_list.parquet")
    assert numbers(contents, "price") == [1.1, None, 3.3]
    assert said(contents, "`tags` is left out", "list")
    refused(
        TABLES / "parquet_decimal_list.parquet", "`tags` cannot be read", kinds={"tags": "category"}
    )
    assert not said(contents_of(TABLES / "parquet_decimal_list.parquet", drop=["tags"]), "tags")


def test_parquet_names_rows_and_duplicates(tmp_path: Path) -> None:
    table = pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["x", "x"])
    pq.write_table(table, tmp_path / "two.parquet")
    refused(tmp_path / "two.parquet", "two columns are called `x`")
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    refused(tmp_path / "none.parquet", "no rows")


def test_frames_are_read_as_files_are() -> None:
    columns = {"x": [1.5, None, 2.5], "c": ["a", None, "b"], "f": [True, False, None]}
    table = pa.table(columns)
    structured = np.array([(1.5, "a"), (2.5, "b")], dtype=[("x", float), ("c", "U1")])
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    for frame in (table, pd.DataFrame(columns, index=[5, 6, 7]), reader):
        contents = contents_of(frame)
        assert numbers(contents, "x") == [1.5, None, 2.5]
        assert texts(contents, "c") == ["a", None, "b"]
        assert numbers(contents, "f") == [1, 0, None]
    assert texts(contents_of(structured), "c") == ["a", "b"]
    assert numbers(contents_of(np.array([[1.5, 2], [3, 4]])), "c2") == [2, 4]


def test_frames_that_are_no_table_are_refused() -> None:
    refused(pd.DataFrame({"x": [1, "a", 2.5]}, dtype=object), "`x` holds values of several types")
    refused(pd.DataFrame([[1, 2]], columns=["x", "x"]), "two columns are called `x`")
    refused(np.zeros(3), "(rows, columns)", "(3,)")
    refused(pd.DataFrame({"x": []}), "no rows")


MIXED: list[object] = [1, "a", 2.5, None, float("nan"), 1]


@pytest.mark.parametrize("pandas", [True, False])
def test_values_of_several_types_are_texts_where_a_kind_is_said(pandas: bool) -> None:
    """Nor does a column matter that is dropped."""
    values = [[it, at] for at, it in enumerate(MIXED)]
    frame = pd.DataFrame(values, columns=["c1", "c2"]) if pandas else np.array(values, dtype=object)
    refused(frame, "make them one, or `kinds: {c1: category}` takes their texts, or `drop: [c1]`.")
    assert [*contents_of(frame, drop=["c1"]).columns] == ["c2"]
    assert [*contents_of(frame, only=["c2"]).columns] == ["c2"]
    of_a_kind = contents_of(frame, kinds={"c1": "category"})
    assert texts(of_a_kind, "c1") == ["1", "a", "2.5", None, None, "1"]
    as_numbers = contents_of(frame, kinds={"c1": "number"}, missing={"c1": ["a"]})
    assert numbers(as_numbers, "c1") == [1, None, 2.5, None, None, 1]


def test_in_another_frame_they_are_texts_too_since_kinds_are_known() -> None:
    own = pd.DataFrame({"x": np.arange(6.0), "y": np.arange(6.0)})
    origin = Origin(own, TableKeys(targets={"y": "regression"}))
    sheet = origin.read(pd.DataFrame({"x": MIXED, "other": MIXED}, dtype=object))
    said = ["1", "a", "2.5", None, None, "1"]
    assert [it.to_pylist() for it in sheet.columns.values()] == [said, said]


def test_columns_are_chosen_by_drop_and_only() -> None:
    path = TABLES / "category_numbers.csv"
    assert [*contents_of(path, drop=["zone"]).columns] == ["weekday", "y"]
    assert [*contents_of(path, only=["zone"], targets={"y": "regression"}).columns] == [
        "zone",
        "y",
    ]


@pytest.mark.parametrize("blank", ["\n", "\r\n \t\r\n", "\r\r", "\ufeff\n"])
def test_blank_lines_before_the_header_are_no_rows(tmp_path: Path, blank: str) -> None:
    """Nor is the header then one, where every column holds texts; rows keep their numbers."""
    end = "\r" if "\r" in blank and "\n" not in blank else "\n"
    lines = ["land,stadt", *["A,Köln", "B,Bonn", "A,Bonn"] * 3]
    path = write(tmp_path, blank + "".join(line + end for line in lines))
    contents = contents_of(path)
    assert contents.rows == 9 and texts(contents, "land")[0] == "A"
    above = len(blank.removeprefix("\ufeff").splitlines())
    assert contents.first_row == above + 2
    write(tmp_path, path.read_bytes() + f"1,2,3{end}".encode())
    refused(path, f"row {above + 11} has 3 fields")


def test_a_table_may_begin_with_a_column_without_a_name_by_tabs(tmp_path: Path) -> None:
    contents = contents_of(write(tmp_path, "\ta\tb\n0\t1.5\t2\n1\t2.5\t3\n"))
    assert [*contents.columns] == ["a", "b"]


@pytest.mark.parametrize("text", ["a,b", "a,b\r", 'a,"b\nc"', "\n\na,b\n"])
def test_names_alone_are_no_table(tmp_path: Path, text: str) -> None:
    refused(write(tmp_path, text), "made.csv has names and no rows.")


def test_a_row_may_be_longer_than_a_block_of_the_reader(tmp_path: Path) -> None:
    long = '"' + "line\n" * 500_000 + '"'
    rows = "".join(f"{at},{at % 3}.5,x\n" for at in range(9))
    path = write(tmp_path, f"a,b,c\n{rows * 2_000}9,1.5,{long}\n{rows}")
    assert contents_of(path, drop=["c"]).rows == 18_010
    refused(write(tmp_path, path.read_text() + "1\n"), "row 18012 has 1 field, the header 3")


@pytest.mark.parametrize("reading", [{}, {"delimiter": ","}])
def test_a_field_of_the_first_rows_may_be_long(tmp_path: Path, reading: dict[str, Any]) -> None:
    """Longer than Python's reader takes, whose limit is afterwards what it was."""
    before = csv.field_size_limit()
    rows = "".join(f"{at},{at % 3}.5,x\n" for at in range(5))
    path = write(tmp_path, f"a,b,c\n{rows}9,1.5,{'x' * 200_000}\n")
    contents = contents_of(path, only=["b"], reading=reading)
    assert contents.rows == 6 and csv.field_size_limit() == before


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_between_rows_are_counted_in_their_numbers(tmp_path: Path, end: str) -> None:
    """As an editor does; one in quotes is of a value, whose row counts once."""
    lines = ["", "a,b,y", "", "0,x,0.5", '"1', "", '2",x,1.5', "", "", *["3,x,2.5", "4,z,3.5"] * 5]
    text = end.join([*lines, "5,x,inf", "", "6,z,1.5", "", ""])
    refused(write(tmp_path, text), "an infinite number, inf (row 18)", drop=["a"])
    refused(write(tmp_path, text + f"7,z{end}"), "row 22 has 2 fields")
    headless = end.join(["1,2.5", "", "2,inf", "3,4.5"] * 2)
    found = {"reading": {"header": False}}
    refused(write(tmp_path, headless), "an infinite number, inf (row 3)", **found)


def test_a_first_row_is_copied_whole() -> None:
    first = FirstRow(3, (0, 2, 2))
    for other in (first, pickle.loads(pickle.dumps(first)), deepcopy(first)):
        assert [other + at for at in range(4)] == [4, 5, 8, 9] and 2 + other == 8


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"\xef\xbb\xbf", "empty"),
        (b"\xff\xfe", "empty"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "no utf-16"),
    ],
)
def test_a_mark_of_an_encoding_is_no_text(tmp_path: Path, text: bytes, part: str) -> None:
    refused(write(tmp_path, text), "made.csv", part)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "is a pipe or a device")
    with pytest.raises(TableError, match="there is no file .*aaa.csv"):
        contents_of(tmp_path / ("a" * 300 + ".csv"))


def test_a_date_is_shown_with_the_row_where_it_stands() -> None:
    frame = pd.DataFrame({"d": [None, pd.Timestamp("2020-03-01")] * 5, "y": range(10)})
    refused(frame, "`d` looks like dates (`2020-03-01 00:00:00`, row 2)")
