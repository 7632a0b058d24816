"""Kinds are decided over the whole column; what cannot be known is asked in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.date_forms import ISO
from gatelab.tasks.tables.times import as_time
from tests.written_tables import TABLES, column, contents_of, numbers, refused, said, texts, write


def test_pairs_of_words_are_binary() -> None:
    contents = contents_of(TABLES / "bool_words.csv", targets={"y": "binary"})
    assert {it.kind for it in contents.columns.values()} == {"binary"}
    assert numbers(contents, "tf")[:3] == [None, 1, 0]
    assert contents.columns["y"].values == ("N", "Y")
    assert numbers(contents, "y")[:3] == [0, 1, 1]


@pytest.mark.parametrize("pair", ["false true", "No YES", "n y", "F T", "OFF on", "0 1", "0.0 1.0"])
def test_each_pair_in_any_case(tmp_path: Path, pair: str) -> None:
    low, high = pair.split()
    contents = contents_of(write(tmp_path, column("x", high, low, "", high)))
    assert contents.columns["x"].kind == "binary" and numbers(contents, "x") == [1, 0, None, 1]


def test_integers_of_few_values_may_be_categories() -> None:
    path = TABLES / "category_numbers.csv"
    contents = contents_of(path, targets={"y": "regression"})
    assert said(contents, "`zone` has 3 integers", "`kinds: {zone: category}`?")
    assert said(contents, "`weekday` has 7 integers")
    category = contents_of(path, kinds={"zone": "category"})
    assert texts(category, "zone")[:3] == ["101", "205", "330"] and not said(category, "`zone`")


def test_a_category_has_one_spelling_a_value(tmp_path: Path) -> None:
    asked = {"zone": "category"}
    forms = [
        write(tmp_path, column("zone", 101, "101.0", '" 101 "', 7.5, "7.50")),
        pd.DataFrame({"zone": [101.0, 101.0, 101.0, 7.5, 7.5]}),
    ]
    for form in forms:
        assert texts(contents_of(form, kinds=asked), "zone") == ["101"] * 3 + ["7.5"] * 2
    for zones in ([101, 205], [101.0, 205.0], ["101", "205"], ["101.0", "205"]):
        contents = contents_of(pd.DataFrame({"zone": zones}), kinds=asked)
        assert texts(contents, "zone") == ["101", "205"]


def test_columns_without_news_are_left_out(tmp_path: Path) -> None:
    contents = contents_of(TABLES / "constant_column.csv")
    assert said(contents, "`site` is left out: constant") and said(contents, "`all_missing`")
    assert [*contents.left_out] == ["site", "all_missing"]
    frame = pa.table(
        {"a": [2.0, 2.0, 2.0], "b": pa.nulls(3), "c": [True, True, True], "d": [1, 2, 4]}
    )
    assert [*contents_of(frame).left_out] == ["a", "b", "c"]
    gaps = pa.table({"a": [2.0, 2.0, None], "b": ["x", None, "x"]})  # a gap is news
    assert [*contents_of(gaps).columns] == ["a", "b"]
    kept = contents_of(TABLES / "constant_column.csv", kinds={"site": "category"})
    assert texts(kept, "site") == ["A"] * 8


def test_dates_are_no_feature(tmp_path: Path) -> None:
    path = TABLES / "dates_ambiguous.csv"
    refused(path, "`seen`", "01/02/2026", "drop")
    assert [*contents_of(path, drop=["seen"]).columns] == ["y"]
    for date in ("2026-01-0{}", "0{}.02.26", "1{}:30", "{} Jan 2026", "May {}, 2026", "2026/1/{}"):
        made = write(tmp_path, column("at", *[f'"{date.format(it)}"' for it in range(1, 6)]))
        refused(made, "`at` looks like dates", "drop: [at]")
    made = write(tmp_path, column("at", *(f"{day}/02/2026" for day in range(10, 16))))
    refused(made, '`split: {time: at, format: "%d/%m/%Y"}` to divide the rows')
    made = write(tmp_path, column("at", *(f"0{day}/02/2026" for day in range(1, 6))))
    refused(made, "`split: {time: at}` to divide the rows")  # day or month first, it asks next
    refused(pd.DataFrame({"at": pd.to_datetime(["2026-01-01", "2026-01-02"])}), "`at` looks like")


def test_dates_order_rows() -> None:
    path = TABLES / "unseen_category_by_time.csv"
    contents = contents_of(path, times={"day": ISO})
    assert numbers(contents, "day")[:2] == [1767225600.0, 1767312000.0]  # date -u -d 2026-01-01 +%s
    refused(TABLES / "dates_ambiguous.csv", "format", "01/02/2026", times={"seen": ISO})
    first = numbers(contents_of(TABLES / "dates_ambiguous.csv", times={"seen": "%d/%m/%Y"}), "seen")
    assert first[0] == 1767225600.0 + 31 * 86400
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-01", "2026-01-02"]), "x": [1.5, 2.5]})
    assert numbers(contents_of(frame, times={"at": ISO}), "at") == [1767225600.0, 1767312000.0]


def test_a_time_is_known_in_every_row(tmp_path: Path) -> None:
    made = write(tmp_path, column("at", "2026-01-01", "", "2026-01-03"))
    refused(made, "`at`", "no value in row 3", times={"at": ISO})
    made = write(tmp_path, column("at", 4, 2, 9))
    assert numbers(contents_of(made, times={"at": ISO}), "at") == [4, 2, 9]


def test_ids_are_left_out_and_brought_back(tmp_path: Path) -> None:
    path = TABLES / "high_cardinality_id.csv"
    contents = contents_of(path)
    assert said(contents, "`user` is left out", "40 values in 40 rows", "kinds: {user: category}")
    assert texts(contents_of(path, kinds={"user": "category"}), "user")[0] == "u00000"
    ten = write(tmp_path, column("user", *[f"u{at}" for at in range(10)]))
    assert "user" in contents_of(ten).columns
    half = write(tmp_path, column("user", *[f"u{at % 6}" for at in range(12)]))
    assert "user" in contents_of(half).columns


def test_infinite_numbers_are_refused_or_missing(tmp_path: Path) -> None:
    path = TABLES / "infinity.csv"
    refused(path, "`x`", "row 3", "inf", "missing: {x: [inf]}")
    known = contents_of(path, missing={"x": ["inf"]})
    assert numbers(known, "x") == [1, None, None, None, 4]
    assert numbers(contents_of(path, missing=[float("inf")]), "x")[1] is None
    refused(write(tmp_path, column("x", 1, 2, "1e999")), "row 4", "1e999")
    refused(pd.DataFrame({"x": [1.0, float("-inf")]}), "row 2", "-inf")
    refused(path, "infinite", kinds={"x": "number"})


def test_whole_numbers_that_float_rounds_are_asked_about() -> None:
    path = TABLES / "int_with_missing.csv"
    refused(path, "`user`", "9007199254740993", "category", "drop")
    contents = contents_of(path, drop=["user"])
    assert contents.columns["rooms"].kind == "number" and numbers(contents, "rooms")[3] is None
    users = texts(contents_of(path, kinds={"user": "category"}), "user")
    assert users[0] == "9007199254740993" and users[5] is None
    table = TABLES / "parquet_int64_null_uint64.parquet"
    refused(table, "`n`", "9007199254740993", "row 1")
    refused(table, "`u`", "18446744073709551615", drop=["n"])
    refused(table, "`h`", "infinite", "row 3", drop=["n", "u"])
    kept = contents_of(table, kinds={"n": "category"}, drop=["u", "h"])
    assert texts(kept, "n") == ["9007199254740993", None, "3"]


def test_leading_zeros_make_a_category(tmp_path: Path) -> None:
    contents = contents_of(TABLES / "leading_zero_ids.csv")
    assert texts(contents, "zip")[:4] == ["01234", "1234", "00501", "501"]
    assert said(contents, "`zip` is a category of 5", "leading zeros")
    decimals = contents_of(write(tmp_path, column("x", 0.5, "0", "0.25")))
    assert decimals.columns["x"].kind == "number"


def test_a_word_among_numbers_is_asked_about(tmp_path: Path) -> None:
    path = TABLES / "mixed_types_late.csv"
    refused(path, "41 numbers", "`unknown`", "row 42", "missing: {x: [unknown]}", "category")
    assert numbers(contents_of(path, missing={"x": ["unknown"]}), "x")[40] is None
    first = write(tmp_path, column("x", "?", 1, 2, 3))
    refused(first, "3 numbers and `?` (row 2)", 'missing: {x: ["?"]}')
    words = contents_of(write(tmp_path, column("x", "a", "b", "a", 1)))
    assert words.columns["x"].kind == "category"


@pytest.mark.parametrize("value", ['"1,250"', "12%", "$5", "3 000", "1'000"])
def test_numbers_in_a_notation_of_their_own_are_asked_about(tmp_path: Path, value: str) -> None:
    refused(write(tmp_path, column("x", 1, value, 3)), "`x`", value.strip('"'), "row 3")


def test_words_for_missing_are_values_of_a_category_and_gaps_of_a_number(tmp_path: Path) -> None:
    contents = contents_of(TABLES / "na_namibia.csv")
    assert texts(contents, "country")[:4] == ["NA", "DE", "None", "FR"]
    assert said(contents, "`country`", "`NA` and `None`", "4 categories")
    made = contents_of(write(tmp_path, column("x", 1.5, "NA", "nan", "None", 2)))
    assert numbers(made, "x") == [1.5, None, None, None, 2]
    assert said(made, "`x` is a number", "3 rows taken for missing")


def test_an_order_of_levels_is_a_number(tmp_path: Path) -> None:
    path = TABLES / "ordered_words.csv"
    assert contents_of(path).columns["size"].kind == "category"
    levels = ["low", "medium", "high", "very high"]
    ordered = contents_of(path, kinds={"size": levels}).columns["size"]
    assert ordered.kind == "levels" and ordered.values == tuple(levels)
    assert ordered.numbers is not None and [*ordered.numbers[:4]] == [0, 1, 2, 3]
    refused(path, "`very high`", "row 5", "levels", kinds={"size": levels[:3]})
    refused(path, "two levels", kinds={"size": ["low", "low"]})
    grades = write(tmp_path, column("grade", 3.0, 1, "2"))
    assert numbers(contents_of(grades, kinds={"grade": [1, 2, 3]}), "grade") == [2, 0, 1]


def test_kinds_that_are_none_are_refused() -> None:
    refused(TABLES / "ordered_words.csv", "'categry'", "'category'", kinds={"size": "categry"})
    refused(TABLES / "ordered_words.csv", "4 values", "binary", kinds={"size": "binary"})
    refused(TABLES / "ordered_words.csv", "`low`", "row 2", "number", kinds={"size": "number"})


def test_codes_for_missing_are_said_and_offered() -> None:
    path = TABLES / "sentinels.csv"
    contents = contents_of(path, targets={"income": "regression"})
    assert said(contents, "`age` has `-999` in 4 rows", "missing: {age: [-999]}")
    assert said(contents, "`job` has `?`", 'missing: {job: ["?"]}')
    assert contents.doubtful == {"age": ("-999",), "job": ("?",), "income": ("-999",)}
    known = contents_of(path, missing=[-999, "?"], targets={"income": "regression"})
    assert known.doubtful == {} and known.said == () and known.left_out == {}
    assert numbers(known, "age")[0] is None and numbers(known, "income")[0] is None
    assert texts(known, "job")[0] is None


@pytest.mark.parametrize(
    ("values", "doubtful"),
    [
        ([1, 2, 3, -1], ("-1",)),
        ([1, 2, 3, 9999, 9999], ("9999",)),
        ([1, 2, -99, 999, 999], ("-99", "999")),
        ([1, -1, 1, -1], ()),  # two answers
        ([1, 0, -1, 0], ()),  # three
        ([1.5, 2.5, -1, 0], ()),  # a measure
        ([9999, 5, 9999, 5], ()),
        ([97, 98, 99, 99], ()),  # a percentage, or an age
        ([-5, -999, 3, 2], ()),  # others are below 0 too
    ],
)
def test_which_numbers_are_doubted(
    tmp_path: Path, values: list[float], doubtful: tuple[str, ...]
) -> None:
    for source in (write(tmp_path, column("x", *values)), pd.DataFrame({"x": values})):
        assert contents_of(source).doubtful.get("x", ()) == doubtful


def test_binary_targets_have_the_larger_value_as_1(tmp_path: Path) -> None:
    names = ["t01", "tTF", "t12", "tfloat", "tpm"]
    path = TABLES / "target_bool_forms.csv"
    contents = contents_of(path, targets=dict.fromkeys(names, "binary"))
    assert all(numbers(contents, name) == [0, 1] * 4 for name in names)
    found = [contents.columns[name].values for name in names]
    assert found == [("0", "1"), ("False", "True"), ("1", "2"), ("0", "1"), ("-1", "1")]
    assert contents.doubtful == {}
    made = write(tmp_path, column("y", 10, 9, 9, 10))
    assert numbers(contents_of(made, targets={"y": "binary"}), "y") == [1, 0, 0, 1]


def test_classes_are_sorted_by_value() -> None:
    targets = {"grade": "multiclass", "code": "multiclass"}
    contents = contents_of(TABLES / "class_order.csv", targets=targets)
    assert contents.columns["grade"].values == ("2", "9", "10")
    assert contents.columns["code"].values == ("A", "a", "b")
    assert texts(contents, "grade")[:3] == ["10", "9", "2"]
    assert said(contents, "`code`", "`A` and `a` differ by case only")


def test_measures_are_numbers_with_gaps() -> None:
    contents = contents_of(
        TABLES / "target_missing.csv", targets={"a": "binary", "b": "regression"}
    )
    assert numbers(contents, "a")[11:13] == [None, 0] and numbers(contents, "b")[:3] == [None, 2, 4]
    scaled = contents_of(
        TABLES / "target_scale.csv", targets={"price": "regression", "share": "regression"}
    )
    assert numbers(scaled, "price")[1] == 1250000 and numbers(scaled, "share")[1] == 0.001
    rare = contents_of(TABLES / "rare_class.csv", targets={"region": "multiclass"})
    assert rare.columns["region"].values == ("east", "north", "south", "west")


def test_targets_without_anything_to_learn_are_refused() -> None:
    path = TABLES / "constant_column.csv"
    for role in ("regression", "binary", "multiclass"):
        refused(path, "`all_missing`", "all missing", targets={"all_missing": role})
    refused(path, "`site`", "constant", targets={"site": "multiclass"})
    refused(path, "'regresion'", "'regression'", targets={"y": "regresion"})
    refused(TABLES / "class_order.csv", "3 values", "binary", targets={"grade": "binary"})
    refused(pa.table({"y": [2.0, 2.0, None]}), "constant, always `2`", targets={"y": "regression"})
    for cells in (["2.0", "2", "NA"], [2**53 + 1, 2**53 + 1, None]):
        refused(pa.table({"y": cells}), "constant, always", targets={"y": "regression"})


def test_targets_and_weights_are_never_left_out() -> None:
    path = TABLES / "high_cardinality_id.csv"
    assert len(contents_of(path, targets={"user": "multiclass"}).columns["user"].values) == 40
    weights = contents_of(TABLES / "row_weights.csv", kinds={"w": "number"})
    assert numbers(weights, "w")[7] == -1 and weights.doubtful == {}


def test_spaces_rows_and_codes_are_said(tmp_path: Path) -> None:
    spaced = write(tmp_path, column("job", " clerk", "cook ", "clerk", "cook"))
    contents = contents_of(spaced)
    assert texts(contents, "job") == ["clerk", "cook"] * 2
    assert said(contents, "`job`", "spaces", "2 rows")
    assert said(contents_of(write(tmp_path, column("n", 1, 2, 3))), "`n` numbers the rows")
    later = contents_of(write(tmp_path, column("n", *range(100_000, 100_020))))
    assert said(later, "`n` numbers the rows; `drop: ")
    codes = contents_of(write(tmp_path, column("code", 17, "1E5", 30, 40)))
    assert said(codes, "`1E5` (row 3)", "kinds: {code: category}")


@pytest.mark.parametrize("name", ["id", "customer_id", "customerID", "Kunden-Nr", "row no"])
def test_whole_numbers_that_name_rows_are_said(name: str, tmp_path: Path) -> None:
    numbers = [10 + (7 * i) % 23 for i in range(20)]
    found = contents_of(write(tmp_path, column(name, *numbers)))
    assert said(found, f"`{name}` differs in all rows; `drop: [", "if it only names them")
    others = contents_of(write(tmp_path, column(name, *numbers[:19], numbers[0])))
    few = contents_of(write(tmp_path, column(name, *numbers[:10])))
    parts = contents_of(write(tmp_path, column(name, *numbers[:19], 0.5)))
    assert [it.said for it in (others, few, parts)] == [()] * 3


@pytest.mark.parametrize("name", ["paid", "humid", "acid", "grid", "width", "casino", "volcano"])
def test_names_that_end_like_an_id(name: str, tmp_path: Path) -> None:
    assert contents_of(write(tmp_path, column(name, *range(40, 0, -2)))).said == ()


def test_keys_are_written_as_yaml_reads_them(tmp_path: Path) -> None:
    made = write(tmp_path, column("a: b", "no", 1, 2))
    refused(made, '`missing: {"a: b": ["no"]}`')


def test_long_texts_are_left_out(tmp_path: Path) -> None:
    made = contents_of(write(tmp_path, column("note", "a" * 50, "b" * 50, "a" * 50)))
    assert made.left_out == {"note": "text"}


@pytest.mark.parametrize(
    ("values", "long"),
    [
        (["a" * 40, "b" * 40] * 2, False),
        (["a" * 41, "b" * 40] * 2, True),
        (["a" * 100, *["b"] * 4, *["c"] * 5], False),  # 10.9 a row, though 34 a value
        (["a" * 50] * 9 + ["b", "c"], True),  # 41.1 a row, though 17 a value
        (["one\nline", *["b"] * 4, *["c"] * 5], True),
        ([None, "a" * 41, None, "a" * 41], True),  # of the rows that are known
    ],
)
def test_how_long_a_text_is_is_counted_by_row(values: list[str | None], long: bool) -> None:
    made = contents_of(pd.DataFrame({"note": values}))
    assert made.left_out == ({"note": "text"} if long else {})


@pytest.mark.parametrize(
    ("values", "decimal"),
    [
        (("1,25", "0,5"), True),
        (("1,250", "0,5"), True),
        (("1,250", "12,500"), False),
        (("1,250,000", "2,500"), False),
        (("5%", "1.5%"), False),
        (("$5.00", "$1,250.00"), False),
    ],
)
def test_a_decimal_comma_is_proposed_where_it_may_be_one(
    values: Sequence[str], decimal: bool, tmp_path: Path
) -> None:
    """Read by it 1,250 would be little more than 1, without a word."""
    rows = "".join(f'"{value}",{i}\n' for i, value in enumerate(values * 6))
    with pytest.raises(TableError, match="write plain numbers") as caught:
        contents_of(write(tmp_path, f"x,y\n{rows}"))
    assert ("decimal" in str(caught.value)) == decimal
    assert "kinds" in str(caught.value)


def test_one_integer_with_gaps_is_asked_nothing(tmp_path: Path) -> None:
    gaps = contents_of(write(tmp_path, column("ni", *[3, ""] * 10)))
    assert gaps.columns["ni"].kind == "number" and not said(gaps, "integers")
    two = contents_of(write(tmp_path, column("ni", *[3, "", 4] * 10)))
    assert said(two, "`ni` has 2 integers")


@pytest.mark.parametrize(
    ("form", "dates", "proposed"),
    [
        ("iso", ["01/15/2020", "02/03/2020"], ["%m/%d/%Y"]),
        ("%d/%m/%Y", ["01/02/2020", "01/15/2020"], ["%m/%d/%Y"]),
        ("iso", ["1.2.2020", "3.4.2021"], ["%d.%m.%Y", "%m.%d.%Y"]),
        ("iso", ["31.12.99 23:59", "01.01.98 00:00"], ["%d.%m.%y %H:%M"]),
        ("iso", ["unknown", "3 Mar 2020", "13 Apr 2020"], ["%d %b %Y"]),
        ("%d/%m/%Y", ["2020-01-02", "2020-01-03"], ["iso"]),
        ("%d/%m/%Y", ["31/01/2020", "30/01/2020", "01/15/2020"], []),
        ("iso", ["soon", "late"], []),
    ],
)
def test_the_form_of_dates_that_is_proposed_fits_them(
    form: str, dates: list[str], proposed: list[str], tmp_path: Path
) -> None:
    """It is not the one that was refused, and the row that is shown has it."""
    path = write(tmp_path, column("d", *dates))
    with pytest.raises(TableError, match=f"no date of the form {form}: ") as caught:
        contents_of(path, times={"d": form})
    line = str(caught.value)
    assert re.findall(r"`split: {time: d, format: \"?([^}\"]*)\"?}`", line) == proposed
    shown = re.findall(r"`d` has `([^`]*)`", line)
    for other in proposed:
        assert as_time(Cells("d", pa.array(shown), 2), other).numbers is not None


def test_a_target_whose_differences_float64_rounds_off_is_refused() -> None:
    """300 numbers would be learned as 3; one of the same size that differs by more is learned."""
    near = pa.table({"y": [10**18 + it for it in range(300)]})
    refused(near, "float64 rounds to 3: subtract", targets={"y": "regression"})
    far = pa.table({"y": [10**18 + it * 10**6 for it in range(300)]})
    assert contents_of(far, targets={"y": "regression"}).columns["y"].numbers is not None


@pytest.mark.parametrize("share", [2**53, -(10**18)])
def test_a_target_that_float64_rounds_to_one_number_is_not_called_constant(share: int) -> None:
    """It differs, but nobody could learn how: as texts too, one of which is in another form."""
    cells = [share, share + 1, None, share + 1]
    texts = [f"{share}.0", f"{share + 1}", "NA", f"{share}"]
    for written in (cells, texts):
        said = f"from {share}", f"to {share + 1}, which float64 rounds to one"
        refused(pa.table({"y": written}), *said, targets={"y": "regression"})
