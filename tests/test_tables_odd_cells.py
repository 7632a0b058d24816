"""Tables as other programs write them: odd numbers, names, encodings, types of Arrow."""

from __future__ import annotations

import decimal
import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gatelab.tasks import Table
from gatelab.tasks.tables.contents import TableError
from tests.bad_specs import run, spec
from tests.written_tables import column, contents_of, numbers, refused, said, texts, write

ROWS = 60


def frame(**more: Any) -> pd.DataFrame:
    random = np.random.default_rng(0)
    made = {"x": random.normal(size=ROWS).round(3), "y": np.arange(ROWS) % 2}
    return pd.DataFrame({**made, **more})


@pytest.mark.parametrize(
    "value",
    ["1\u202f234", "1\u00a0234", "12\u2009345,5", "\u22125", "(11.50)", "1’234.50", "5 €"],
)
def test_numbers_as_people_write_them_are_asked_about(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, "x;y\n" + "".join(f"{at};{at % 2}\n" for at in range(9)) + f"{value};1")
    refused(path, f"`x` has `{value}` (row 11)", "write plain numbers")


def test_a_column_of_spaced_thousands_alone_is_no_id(tmp_path: Path) -> None:
    rows = "".join(f"{at + 1}\u202f{at:03}," + f"{at % 2}\n" for at in range(30))
    refused(write(tmp_path, f"x,y\n{rows}"), "`x` has `1\u202f000` (row 2)", "write plain numbers")


def test_points_that_may_part_thousands_are_said(tmp_path: Path) -> None:
    values = ["980", "1.250", "2.500", "17.125"]
    contents = contents_of(write(tmp_path, column("x", *values)))
    assert numbers(contents, "x") == [980, 1.25, 2.5, 17.125]
    assert said(contents, "`x`", "`1.250` (row 3)", "read as 1.25", "thousands")
    for other in (["1.250", "0.125"], ["1.250", "2.5"], ["1.251", "2.125"]):
        contents = contents_of(write(tmp_path, column("x", *other)))
        assert not said(contents, "thousands")


def test_dates_written_as_numbers_are_said(tmp_path: Path) -> None:
    days = [20260101 + at for at in range(20)]
    assert said(contents_of(write(tmp_path, column("day", *days))), "`day`", "20260101", "dates")
    months = [20261301 + at for at in range(20)]
    assert not said(contents_of(write(tmp_path, column("day", *months))), "dates")


def test_zero_has_one_spelling(tmp_path: Path) -> None:
    cells = ["0", "-0", "0.0", "-0.0", "1", "2", "-1"]
    contents = contents_of(write(tmp_path, column("x", *cells)), kinds={"x": "category"})
    assert texts(contents, "x") == ["0", "0", "0", "0", "1", "2", "-1"]
    path = tmp_path / "made.parquet"
    pq.write_table(pa.table({"y": [-0.0, 0.0, 1.0] * 4, "x": np.arange(12.0)}), path)
    assert contents_of(path, targets={"y": "binary"}).columns["y"].values == ("0", "1")


def test_a_number_of_thousands_of_digits_is_asked_about(tmp_path: Path) -> None:
    cells = [*range(1_000), "9" * 5_000]
    refused(write(tmp_path, column("x", *cells)), "`x` has 9999", "(row 1002)", "past 2^53")


@pytest.mark.parametrize("sign", [";", ",", "\t"])
def test_the_line_by_which_excel_is_told_the_delimiter_is_no_row(tmp_path: Path, sign: str) -> None:
    rows = [["a", "b", "c"], *([f"{at}", f"{at % 3}", "u"] for at in range(8)), ["8", "1", "v"]]
    text = f"sep={sign}\r\n" + "".join(sign.join(row) + "\r\n" for row in rows)
    contents = contents_of(write(tmp_path, text))
    assert [*contents.columns] == ["a", "b", "c"] and contents.rows == 9
    assert contents.first_row == 3 and said(contents, f"`sep={sign}`", "Excel")
    refused(write(tmp_path, text + sign.join("1234") + "\r\n"), "row 12 has 4 fields")
    refused(write(tmp_path, text.replace("8", "inf")), "`a`", "(row 11)")


def test_names_of_several_lines_are_one(tmp_path: Path) -> None:
    text = '"Income\n(EUR) ",y\n' + "".join(f"{at}.5,{at % 2}\n" for at in range(9))
    contents = contents_of(write(tmp_path, text))
    assert [*contents.columns] == ["Income (EUR)", "y"]
    assert said(contents, "`Income (EUR)`", "several lines")
    arrow = pa.table({"Income\n(EUR)": [1.5, 2.5, 4.0], "y": [0, 1, 1]})
    contents = contents_of(arrow)
    assert [*contents.columns] == ["Income (EUR)", "y"]
    assert said(contents, "`Income (EUR)`", "several lines")
    refused(pa.table({"a\nb": [1.5], "a b": [1]}), "two columns are called `a b`")


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-be"])
def test_utf_32_is_read_by_its_mark(tmp_path: Path, encoding: str) -> None:
    text = ("\ufeff" if encoding.endswith("be") else "") + "stadt,y\nKöln,0\nBonn,1\nKöln,1\n"
    contents = contents_of(write(tmp_path, text.encode(encoding)))
    assert texts(contents, "stadt") == ["Köln", "Bonn", "Köln"]


@pytest.mark.parametrize("encoding", ["rot13", "hex", "undefined", "a\0b", "", "nonsense", 8])
def test_what_is_no_encoding_of_text_is_refused(tmp_path: Path, encoding: Any) -> None:
    path = write(tmp_path, column("x", 1, 2, 3))
    refused(path, "`reading.encoding` must be an encoding", reading={"encoding": encoding})


@pytest.mark.parametrize("encoding", ["punycode", "idna", "utf-7"])
def test_a_text_that_is_none_of_an_encoding_names_the_file(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "x,y\n" + "1.5,ü\n" * 9 + "é" * 90)
    refused(path, "made.csv", encoding, "encoding: cp1252", reading={"encoding": encoding})


def test_a_nul_is_named_by_its_line(tmp_path: Path) -> None:
    refused(write(tmp_path, b"x,y\n1,2\n3,\0\n4,5\n"), "made.csv, line 3", "NUL", "take it out")
    refused(write(tmp_path, "x,y\n1,2\n".encode("utf-16-le")), "NUL", "encoding: utf-16")


def test_a_packed_parquet_file_is_called_that(tmp_path: Path) -> None:
    made = io.BytesIO()
    frame().to_parquet(made)
    path = write(tmp_path, gzip.compress(made.getvalue()), "t.parquet.gz")
    refused(path, "t.parquet.gz is a packed Parquet file: unpack it")


FRAMES = {
    "categories of views": lambda: pa.table(
        {"z": pa.DictionaryArray.from_arrays([0, 1] * 30, pa.array(["a", "b"], pa.string_view()))}
    ),
    "run ends": lambda: pa.table(
        {"z": pa.RunEndEncodedArray.from_arrays(pa.array([9, 60], pa.int32()), ["a", "b"])}
    ),
    "views of bytes": lambda: pa.table({"z": pa.array([b"\xff"] * ROWS, pa.binary_view())}),
    "bytes of one size": lambda: pa.table({"z": pa.array([b"\xff\xfe"] * ROWS, pa.binary(2))}),
    "intervals": lambda: pd.DataFrame({"z": pd.cut(np.arange(ROWS), 3)}),
    "sparse": lambda: pd.DataFrame({"z": pd.arrays.SparseArray(np.arange(ROWS) % 3)}),
    "decimals": lambda: pd.DataFrame({"z": [decimal.Decimal(at) / 4 for at in range(ROWS)]}),
}
LEFT_OUT = {"views of bytes", "bytes of one size", "intervals"}


@pytest.mark.parametrize("name", FRAMES)
def test_every_form_of_a_column_is_read_or_left_out(name: str) -> None:
    table = FRAMES[name]()
    whole = frame()
    if isinstance(table, pa.Table):
        for each in ("x", "y"):
            table = table.append_column(each, pa.array(whole[each]))
    else:
        table = table.join(whole)
    task = Table(table, targets={"y": "binary"})
    assert ("z" in task.contents.left_out) == (name in LEFT_OUT)
    assert ("z" in task.features) == (name not in LEFT_OUT)
    assert task.raw("val", 3)["x"].null_count == 0


def test_categories_count_the_same_however_they_are_held() -> None:
    texts = ["a", "b", "a", "c", None, "b"] * 10
    plain = pa.table({"z": pa.array(texts), "y": frame()["y"]})
    views = pa.array(["b", "a", "c"], pa.string_view())
    places = pa.array([None if it is None else "bac".index(it) for it in texts], pa.int8())
    coded = pa.table({"z": pa.DictionaryArray.from_arrays(places, views), "y": frame()["y"]})
    one, other = (Table(it, targets={"y": "binary"}) for it in (plain, coded))
    assert one.contents.digest == other.contents.digest
    assert one.split("train").inputs.equal(other.split("train").inputs)


def test_a_reader_of_batches_is_read_once() -> None:
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    task = Table(table.to_reader(7), targets={"y": "binary"})
    assert task.contents.digest == Table(table, targets={"y": "binary"}).contents.digest
    assert len(task.raw("val", 5)["x"]) == 5 and task.recipe()["columns"]


@pytest.mark.parametrize("kind", [">f8", "longdouble", ">i4", "float16"])
def test_numbers_of_other_machines_are_read(kind: str) -> None:
    array = np.column_stack([np.arange(ROWS) * 3 % 7, np.arange(ROWS) % 2]).astype(kind)
    task = Table(array, targets={"c2": "binary"})
    assert task.contents.columns["c1"].numbers.tolist() == (np.arange(ROWS) * 3 % 7).tolist()


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (lambda: frame()["x"], "but got a Series"),
        (lambda: frame(z=pd.Series([10**30] * ROWS, dtype=object)), "`z` holds values"),
        (lambda: frame(z=1j), "`z` holds values"),
        (lambda: pa.Table.from_arrays([pa.array([1])] * 2, ["x", "x"]), "two columns are called"),
    ],
)
def test_frames_that_are_no_table_are_one_line(source: Any, line: str) -> None:
    refused(source(), line)


def test_options_of_a_file_may_hold_numbers_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    frame(z=np.where(np.arange(ROWS) % 5, np.arange(ROWS) * 1.5, -999)).to_csv(path, index=False)
    task = Table(path=str(path), targets={"y": "binary"}, missing=[np.int64(-999)])
    assert np.isnan(task.contents.columns["z"].numbers).sum() == 12


@pytest.mark.parametrize(
    "split", [{"group": "y"}, {"time": "y"}, {"column": "y", "val": 0, "test": 1}]
)
def test_rows_are_not_divided_by_what_is_learnt(split: Any) -> None:
    with pytest.raises(TableError, match="is no target, but 'y' is one"):
        Table(frame(), targets={"y": "binary"}, split=split)


@pytest.mark.filterwarnings("error")
def test_a_number_that_float32_cannot_hold_is_refused_in_any_split() -> None:
    for at in range(ROWS):
        cells = frame()["x"].to_numpy().copy()
        cells[at] = 1e60
        try:
            task = Table(frame(z=cells), targets={"y": "binary"})
        except TableError as error:
            assert f"column 'z' has 1e+60 (row {at + 1})" in str(error)
            assert 'missing: {z: ["1e+60"]}' in str(error)
        else:
            assert all(task.split(it).inputs.isfinite().all() for it in ("train", "val", "test"))
    with pytest.raises(TableError, match="column 'z'.* too large to standardise"):
        Table(frame(z=frame()["x"] * 5e307), targets={"y": "binary"})


def test_a_missing_group_is_named_by_the_row_of_the_file(tmp_path: Path) -> None:
    made = frame(g=[f"g{at % 9}" for at in range(ROWS)])
    made.loc[7, "g"] = None
    made.to_csv(tmp_path / "made.csv", index=False)
    with pytest.raises(TableError, match=r"\(first: row 9\)"):
        Table(path=str(tmp_path / "made.csv"), targets={"y": "binary"}, split={"group": "g"})


def test_texts_of_parquet_that_are_no_utf_8_are_left_out(tmp_path: Path) -> None:
    """Arrow writes what it is told is text without a look."""
    ends = pa.py_buffer(np.arange(0, 2 * ROWS + 2, 2, dtype=np.int32).tobytes())
    texts = pa.Array.from_buffers(pa.string(), ROWS, [None, ends, pa.py_buffer(b"\xff\xfe" * ROWS)])
    path = tmp_path / "made.parquet"
    pq.write_table(pa.Table.from_pandas(frame()).append_column("z", texts), path)
    contents = contents_of(path, targets={"y": "binary"})
    assert said(contents, "`z` is left out", "text that is no UTF-8")
    refused(path, "`targets`: column `z` cannot be read (text that", targets={"z": "multiclass"})


def test_a_page_of_parquet_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pq.write_table(pa.table({"x": np.arange(1000)}), path, write_page_checksum=True)
    raw = bytearray(path.read_bytes())
    raw[200] ^= 255
    path.write_bytes(bytes(raw))
    refused(path, str(path), "CRC checksum")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"weights": "z"}, "`z` has inf (row 4), but a weight is a finite number of 0 or more."),
        ({"split": {"time": "z"}}, "`z` is a time, but has inf in row 4."),
    ],
)
def test_what_may_not_be_missing_is_not_to_be_taken_for_missing(
    options: dict[str, Any], line: str, tmp_path: Path
) -> None:
    """As the line says of an infinite number of a feature."""
    made = frame(z=np.where(np.arange(ROWS) == 3, np.inf, np.arange(ROWS) + 1.5))
    with pytest.raises(TableError) as caught:
        Table(made, targets={"y": "binary"}, **options)
    assert str(caught.value) == line
    made.to_csv(tmp_path / "made.csv", index=False)
    with pytest.raises(TableError, match=re.escape(line.replace("row 4", "row 5"))):
        Table(path=str(tmp_path / "made.csv"), targets={"y": "binary"}, **options)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("split", {"split": {"group": "Z"}}),
        ("split", {"split": {"column": "Z", "val": 1, "test": 2}}),
        ("split", {"split": {"time": "Z"}}),
        ("weights", {"weights": "Z"}),
        ("targets", {"targets": {"Z": "regression"}}),
    ],
)
def test_a_column_that_is_none_is_told_by_the_option_that_names_it(
    key: str, options: dict[str, Any]
) -> None:
    made = frame(z=np.arange(ROWS) + 1.5)
    with pytest.raises(TableError, match=f"^`{key}`: no column `Z`; did you mean 'z'"):
        Table(made, **{"targets": {"y": "binary"}, **options})


def test_a_word_of_advice_is_not_the_option_that_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rare: drop` may be the answer to a rare class; `drop` is another option."""
    monkeypatch.chdir(tmp_path)
    frame(z=["a", "b"] + ["c"] * (ROWS - 2)).to_csv("made.csv", index=False)
    task = "{name: table, path: made.csv, drop: [x], targets: {z: multiclass}}"
    Path("bad.yaml").write_text(spec(task=task))
    code, message = run("validate", "bad.yaml")
    assert code == 2 and message.startswith("gatelab: bad.yaml: task: target 'z': 'a' (1 row)")
