"""Decimal commas: beside words for missing, with points between thousands, and in typed tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gatelab.tasks import Table
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.proposed import propose_table
from tests.written_tables import contents_of, numbers, refused, said, texts, write

COMMA = {"decimal": ","}


def with_word(word: str) -> str:
    rows = [
        f"{at};{word if at == 1 else f'{60 + at},8{at % 7}'};{'nj'[at % 2]}" for at in range(40)
    ]
    return "\n".join(["alter;gewicht;kauf", *rows, ""])


@pytest.mark.parametrize("word", ["NA", "n/a", "-", "?", "n.a."])
@pytest.mark.parametrize("reading", [{}, COMMA])
def test_a_decimal_comma_is_read_beside_a_word_for_missing(
    word: str, reading: dict[str, Any], tmp_path: Path
) -> None:
    path = write(tmp_path, with_word(word))
    missing = {"gewicht": [word]}
    contents = contents_of(path, reading=reading, missing=missing)
    assert numbers(contents, "gewicht")[:3] == [60.80, None, 62.82]
    assert said(contents, "decimal comma", "`gewicht`") == (not reading)
    proposed = propose_table(str(path), ["kauf"], {"reading": reading} if reading else {})
    assert proposed.options["kinds"]["gewicht"] == "number"
    assert proposed.options["reading"]["decimal"] == ","


def test_a_word_that_a_column_names_as_missing_is_none_of_its_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, with_word("k.A."))
    refused(path, "`gewicht`", 'decimal: ","')
    refused(path, "39 numbers and `k.A.` (row 3)", "missing", reading=COMMA)
    for reading in ({}, COMMA):
        contents = contents_of(path, reading=reading, missing={"gewicht": ["k.A."]})
        assert numbers(contents, "gewicht")[:3] == [60.80, None, 62.82]
    words = contents_of(path, reading=COMMA, kinds={"gewicht": "category"})
    assert texts(words, "gewicht")[:2] == ["60,80", "k.A."]


def test_another_file_may_have_one_word_for_missing(tmp_path: Path) -> None:
    """A column of which few rows are known is read as the table's own."""
    write(tmp_path, with_word("61,81"), "own.csv")
    table = Table(path=str(tmp_path / "own.csv"), targets={"kauf": "binary"})
    new = write(tmp_path, "alter;gewicht\n3;NA\n4;69,87\n")
    assert table.read(new).columns["gewicht"].to_pylist() == ["NA", "69.87"]
    with pytest.raises(TableError, match="`60.5` .row 2.*decimal: "):
        table.read(write(tmp_path, "alter;gewicht\n3;60.5\n"))


@pytest.mark.parametrize("reading", [{}, COMMA])
def test_another_file_that_is_parted_by_commas_has_decimal_points(
    reading: dict[str, Any], tmp_path: Path
) -> None:
    """Its weights of three decimals are no thousands."""
    write(tmp_path, with_word("61,81"), "own.csv")
    table = Table(path=str(tmp_path / "own.csv"), targets={"kauf": "binary"}, reading=reading)
    new = write(tmp_path, "alter,gewicht\n3,60.125\n4,69.875\n")
    assert table.read(new).columns["gewicht"].to_pylist() == ["60.125", "69.875"]
    write(tmp_path, 'alter,gewicht\n3,"60,125"\n4,70\n')
    assert table.read(new).columns["gewicht"].to_pylist() == ["60.125", "70"]


def test_points_part_thousands_beside_a_decimal_comma(tmp_path: Path) -> None:
    path = write(tmp_path, "a;b\n1;4.010,75\n2;980,5\n3;5.644\n4;-1.234.567,5\n")
    assert numbers(contents_of(path), "b") == [4010.75, 980.5, 5644, -1234567.5]
    whole = write(tmp_path, "a;b;c\n1;5.644;0,5\n2;980;1,5\n")
    refused(whole, "`b` has a decimal point (5.644)", "`c` a decimal comma")
    assert numbers(contents_of(whole, reading=COMMA), "b") == [5644, 980]


@pytest.mark.parametrize("cell", ["0.5", "5.6441", "0.644", "12.34"])
def test_other_points_are_refused_beside_a_decimal_comma(cell: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"a;b\n1;2,5\n2;{cell}\n3;4,5\n")
    refused(path, f"`b` has `{cell}` (row 3)", "thousands", reading=COMMA)
    for keys in ({"kinds": {"b": "category"}}, {"drop": ["b"]}, {"only": ["a"]}):
        assert contents_of(path, reading=COMMA, **keys).rows == 3


def test_a_column_that_the_table_lacks_is_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, with_word("61,81"), "own.csv")
    table = Table(path=str(tmp_path / "own.csv"), targets={"kauf": "binary"})
    new = write(tmp_path, "alter;gewicht;other\n3;1,5\u00a0;0.5\n")
    assert table.read(new).columns["other"].to_pylist() == ["0.5"]


def test_a_decimal_comma_in_texts_of_a_frame_or_parquet(tmp_path: Path) -> None:
    """The key that the question names holds for them too."""
    frame = pd.DataFrame({"x": ["1,5", "0,25", None, "1.250"] * 5, "y": [1, 2, 3, 4] * 5})
    frame.to_parquet(tmp_path / "x.parquet")
    for source in (frame, tmp_path / "x.parquet"):
        assert numbers(contents_of(source, reading=COMMA), "x")[:4] == [1.5, 0.25, None, 1250]
    refused(frame.drop(index=frame.index[3::4]), "`1,5`", 'decimal: ","')
