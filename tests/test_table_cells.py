"""Cells at serving: read as training reads them, whatever type they come in."""

from __future__ import annotations

import ast
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from gatelab.sweeps.export.raw_graph import standardised_values, value_names, values_of
from gatelab.tasks import Table, Target
from tests.served import graph_of
from tests.test_table_task import people
from tests.written_tables import TABLES, write

# MLflow warns of its own type hints when its pyfunc is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")
SPLITS = ("train", "val", "test")

ODD = """\
age,town,zone,paid,size,code,y
 3.5,Oslo,101,yes,small,007,0
+4,Bonn ,101.0,No,large,7,1
1e1,Oslo,205,YES,,007,0
NA,Bonn,205.0,no,small,7,1
-999,NA,330,yes,large,007,0
.5,Oslo,330.50,no,medium,7,1
 ,  ,,yes,small,007,0
"""
OPTIONS: dict[str, Any] = {
    "targets": {"y": "binary"},
    "kinds": {"zone": "category", "size": ["small", "medium", "large"]},
    "missing": {"age": [-999.0], "town": ["?"]},
}


@pytest.fixture
def odd(tmp_path: Path) -> Table:
    """A table that writes its values in every way that a reader takes for the same."""
    head, *rows = ODD.splitlines()
    file = write(tmp_path, "\n".join([head, *rows * 6, ""]))
    return Table(path=str(file), **OPTIONS)


def reader_of(task: Table) -> Any:
    from gatelab.tracking.mlflow_serve import CellReader

    return CellReader(json.loads(json.dumps(task.recipe())))


def read(task: Table, frame: pd.DataFrame) -> dict[str, list[float]]:
    """Return what a frame is read as, by column."""
    from gatelab.tracking.mlflow_serve import columns_of

    reader = reader_of(task)
    cells = reader.read(columns_of(frame))
    return {name: cells[:, at].tolist() for at, name in enumerate(reader.columns)}


def check_same_inputs(task: Table) -> None:
    """Check that raw rows come to the very inputs that were trained on, bit by bit."""
    from gatelab.tracking.mlflow_serve import columns_of

    graph, reader = graph_of(task), reader_of(task)
    for name in SPLITS:
        inputs = task.split(name).inputs
        raw = task.raw(name, 10**6)
        frame = pa.table(raw).to_pandas(integer_object_nulls=True)
        each = pd.DataFrame({n: pd.Series(it.to_pylist(), dtype=object) for n, it in raw.items()})
        assert len(inputs)
        for columns in (raw, columns_of(frame), columns_of(each)):
            assert torch.equal(graph.inputs(torch.from_numpy(reader.read(columns))), inputs)


def test_a_text_is_read_as_in_training(odd: Table) -> None:
    assert [*odd.fitted.numbers] == ["age", "paid", "size"]
    assert odd.fitted.categories["zone"] == ("101", "205", "330", "330.5", None)
    check_same_inputs(odd)


def test_types_of_parquet_are_read_as_in_training(tmp_path: Path) -> None:
    number = np.arange(60)
    columns = {
        "whole": pa.array([None if n % 7 == 0 else int(n % 11) for n in number]),
        "single": pa.array((number / 3).astype(np.float32)),
        "price": pa.array([Decimal(n % 13) / 10 for n in number.tolist()], pa.decimal128(9, 2)),
        "flag": pa.array([None if n % 5 == 0 else n % 2 == 0 for n in number.tolist()]),
        "zone": pa.array([[1.5, 101.0, None][n % 3] for n in number]),
        "cost": pa.array([[Decimal("3.30"), Decimal("4.00")][n % 2] for n in number]),
        "job": pa.array([["cook", "clerk", None][n % 3] for n in number]).dictionary_encode(),
        "y": pa.array(number % 2),
    }
    file = tmp_path / "typed.parquet"
    parquet.write_table(pa.table(columns), file)
    kinds = {"zone": "category", "cost": "category"}
    task = Table(path=str(file), targets={"y": "binary"}, kinds=kinds)
    assert task.fitted.categories["cost"] == ("3.3", "4")
    check_same_inputs(task)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("bool_words", {"targets": {"y": "binary"}}),
    ("category_numbers", {"targets": {"y": "regression"}, "kinds": {"zone": "category"}}),
    ("class_order", {"targets": {"grade": "multiclass", "code": "multiclass"}}),
    ("constant_column", {"targets": {"y": "binary"}}),
    ("delim_semicolon_decimal_comma", {"targets": {"weeks": "regression"}}),
    ("int_with_missing", {"targets": {"y": "binary"}, "kinds": {"user": "category"}}),
    ("leading_zero_ids", {"targets": {"y": "binary"}}),
    ("na_namibia", {"targets": {"y": "binary"}}),
    ("ordered_words", {"targets": {"y": "regression"}}),
    ("infinity", {"targets": {"y": "binary"}, "missing": {"x": ["inf"]}}),
    ("sentinels", {"targets": {"income": "regression"}, "missing": [-999, "?"]}),
    ("unseen_category_by_time", {"targets": {"y": "binary"}, "split": {"time": "day"}}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[name for name, _ in CASES])
def test_cases_are_read_as_in_training(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    head, *rows = (TABLES / f"{name}.csv").read_text().splitlines()
    file = write(tmp_path, "\n".join([head, *rows * 3, ""]))  # some are too few to be divided
    check_same_inputs(Table(path=str(file), **options))


def test_a_frame_is_read_as_in_training() -> None:
    check_same_inputs(Table(people(), targets={"income": "binary", "weeks": "regression"}))


def row(**cells: Any) -> pd.DataFrame:
    """Return a row of the odd table, of which some cells are given as lists: a row each."""
    rows = max((len(it) for it in cells.values()), default=1)
    plain = {"age": 1.0, "town": "Oslo", "zone": 101, "paid": "yes", "size": "small", "code": "7"}
    values = {name: cells.get(name, [cell] * rows) for name, cell in plain.items()}
    return pd.DataFrame({name: pd.Series(it, dtype=object) for name, it in values.items()})


NONE = math.nan


@pytest.mark.parametrize(
    ("column", "cells", "read_as"),
    [
        ("age", [3, 3.5, " 3.5", "3.5\t", "+3.5", "1e1"], [3, 3.5, 3.5, 3.5, 3.5, 10]),
        ("age", [None, math.nan, "", "  ", "NA", "nan", pd.NA, -999, "-999.0"], [NONE] * 9),
        ("age", [-999, 1], [NONE, 1]),
        ("age", [-999.0, 1.5, None], [NONE, 1.5, NONE]),
        ("zone", [101, 101.0, "101", "101.0", " 101 ", Decimal("101.00")], [1] * 6),
        ("zone", [330.5, "330.50", 999, "no zone", None, math.nan, ""], [4, 4, 0, 0, 5, 5, 5]),
        ("town", ["Oslo", " Bonn", "NA", "oslo", "?", None], [3, 1, 2, 0, 4, 4]),
        ("paid", ["yes", "NO", " Yes", "", None], [1, 0, 1, NONE, NONE]),
        ("paid", [True, False, None], [1, 0, NONE]),
        ("paid", [True, "No", "TRUE"], [1, 0, 1]),
        ("size", ["small", "large", " medium", None], [0, 2, 1, NONE]),
        ("code", ["007", "7", 7, 7.0, "0070"], [1, 2, 2, 2, 0]),
    ],
)
def test_what_cells_mean(odd: Table, column: str, cells: list[Any], read_as: list[float]) -> None:
    np.testing.assert_array_equal(read(odd, row(**{column: cells}))[column], read_as)


@pytest.mark.parametrize("type_", ["int8", "float32", "Int64", "category", "string", "object"])
def test_pandas_types(odd: Table, type_: str) -> None:
    cells: Any = ["101", "205"] if type_ in {"string", "category"} else [101, 205]
    kept = row(zone=cells, age=cells)
    if type_ == "int8":
        kept = row(zone=[10, 20], age=[101, 20])
    found = read(odd, kept.astype({"zone": type_, "age": type_}))
    assert found["zone"] == ([0, 0] if type_ == "int8" else [1, 2])
    assert found["age"] == ([101, 20] if type_ == "int8" else [101, 205])


def test_zero_and_one_are_numbers() -> None:
    frame = pd.DataFrame({"on": [0, 1] * 20, "x": np.arange(40) / 7, "y": [0, 0, 1, 1] * 10})
    task = Table(frame, targets={"y": "binary"})
    given = pd.DataFrame({"on": pd.Series([True, 1.0, "0", "1.0", "NA"], dtype=object), "x": 1.5})
    np.testing.assert_array_equal(read(task, given)["on"], [1, 1, 0, 1, NONE])
    given = given.assign(on=[0, 1, 2, 1, 0])
    with pytest.raises(ValueError, match=r"`on` must be one of 0, 1, but has `2` \(row 3\)"):
        read(task, given)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (row().drop(columns="age"), "the rows have no column `age`."),
        (row()[["zone", "size", "paid"]], "the rows have no columns `age`, `town`, `code`."),
        (row(age=[1, "old"]), "`age` must be a finite number, but has `old` (row 2)."),
        (row(age=[1, math.inf]), "`age` must be a finite number, but has `inf` (row 2)."),
        (
            row(age=[1, 1e300]),
            "`age` has `1e+300` (row 2), too far from what the model has learnt ",
        ),
        (row(age=["-inf"]), "`age` must be a finite number, but has `-inf` (row 1)."),
        (row(age=[True]), "`age` must be a finite number, but has `true` (row 1)."),
        (row(size=[True]), "`size` must be one of small, medium, large, but has `true` (row 1)."),
        (row(age=[[1, 2]]), "`age` holds cells of the type list<item: int64>."),
        (row(town=["a", {"b": 1}]), "`town` has a dict, no value of a table."),
        (row(paid=["maybe"]), "`paid` must be one of No, yes, but has `maybe` (row 1)."),
        (row(size=["huge"]), "`size` must be one of small, medium, large, but has `huge` (row 1)."),
        (pd.concat([row(), row()[["age"]]], axis=1), "2 columns are called `age`."),
    ],
)
def test_rows_that_cannot_be_read(odd: Table, frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(ValueError) as error:
        read(odd, frame)
    assert str(error.value) == said or (said.endswith(" ") and str(error.value).startswith(said))


def test_other_columns_and_their_order_do_not_matter(odd: Table) -> None:
    plain = row(age=[1, None, 3])
    mixed = plain[plain.columns[::-1]].assign(more="x", y=1).rename(columns={"age": " age "})
    np.testing.assert_equal(read(odd, mixed), read(odd, plain))


def test_values_are_chances_and_in_the_users_unit() -> None:
    targets = (
        Target("income", "binary", classes=("no", "yes")),
        Target("weeks", "regression", scale=4.0, offset=1000.0),
        Target("region", "multiclass", 3, classes=("2", "9", "10")),
    )
    outputs = torch.tensor([[math.log(3), -0.5, 0.0, math.log(2), math.log(5)]])
    wanted = [0.25, 0.75, 998.0, 1 / 8, 2 / 8, 5 / 8]
    found = values_of(targets, outputs)
    assert found.dtype == torch.float64
    assert found[0].tolist() == pytest.approx(wanted, rel=1e-6)
    names = ["income=no", "income=yes", "weeks", "region=2", "region=9", "region=10"]
    assert value_names(targets) == names
    back = standardised_values(targets, found)[0].tolist()
    assert back == pytest.approx([0.25, 0.75, -0.5, 1 / 8, 2 / 8, 5 / 8], rel=1e-6)


def test_numbers_are_standardised_in_64_bits() -> None:
    """Seconds of the epoch a second apart, which 32 bits cannot tell apart."""
    seconds = 1.7e9 + np.arange(40)
    task = Table(pd.DataFrame({"t": seconds, "y": [0, 1] * 20}), targets={"y": "binary"})
    graph = graph_of(task)
    fit = task.fitted.numbers["t"]
    found = graph.inputs(torch.tensor([[seconds[0]], [seconds[1]], [math.nan]]).double())
    wanted = [(it - fit.scale.mean) / fit.scale.deviation for it in (*seconds[:2], fit.fill)]
    assert found[:, 0].tolist() == pytest.approx(wanted, rel=1e-6)
    assert found[1, 0] > found[0, 0]


def test_what_is_served_imports_nothing_of_gatelab() -> None:
    code = (Path(__file__).parent.parent / "tracking" / "mlflow_serve.py").read_text()
    names = {
        name.split(".")[0]
        for it in ast.walk(ast.parse(code))
        for name in (
            [alias.name for alias in it.names]
            if isinstance(it, ast.Import)
            else [it.module or "."]
            if isinstance(it, ast.ImportFrom)
            else []
        )
    }
    allowed = {"__future__", "collections", "json", "pathlib", "typing"}
    assert names - allowed == {"mlflow", "numpy", "pandas", "pyarrow", "torch"}


def test_another_file_has_the_decimal_comma_that_was_found(tmp_path: Path) -> None:
    """Which its own few rows do not tell; with commas between its columns, too."""
    people(60).to_csv(tmp_path / "people.csv", index=False, sep=";", decimal=",")
    table = Table(path=str(tmp_path / "people.csv"), targets={"income": "binary"})
    for name, text in {
        "thousands.csv": "height;age\n1,234;5\n2,345;6\n",
        "points.csv": "height;age\n1,234;5.000\n2,345;6\n",
        "commas.csv": "height,age\n1.234,5\n2.345,6\n",
    }.items():
        (tmp_path / name).write_text(text)
        found = table.read(tmp_path / name).columns["height"]
        assert found.to_pylist() == ["1.234", "2.345"], name
