"""One spelling a value: a cell has the same id whatever type or program wrote it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gatelab.tasks import Table
from gatelab.tasks.tables.cells import texts_of
from gatelab.tasks.tables.spelling import canonical
from tests.test_table_cells import check_same_inputs, reader_of

# MLflow warns of its own type hints when its pyfunc is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")
ROWS = 90
ACCOUNTS = [491234567890, 491234567891, 12345678901, 2**53]
SMALL = [1e-5, 1.5e-6, 1e-7, 2.5e-12, 12345678901.5]
DAYS = ["2020-01-01 00:00:00", "2021-02-03 12:30:00", "2021-02-03 12:30:01.500000"]


def made(values: list[Any], type_: str = "object") -> Table:
    """Return a table with a category of these values."""
    return Table(framed(values, type_), targets={"y": "regression"}, kinds={"c": "category"})


def framed(values: list[Any], type_: str = "object") -> pd.DataFrame:
    cells = pd.Series([values[n % len(values)] for n in range(ROWS)], dtype=type_)
    return pd.DataFrame({"c": cells, "x": np.arange(ROWS) % 7, "y": np.arange(ROWS) / 3})


def ids(task: Table, frame: pd.DataFrame) -> list[list[float]]:
    """Return the category's ids of a frame, as a served model and as predict read it."""
    from gatelab.tracking.mlflow_serve import columns_of

    reader = reader_of(task)
    return [
        reader.ids("c", columns["c"]).tolist()
        for columns in (columns_of(frame), task.read(frame).columns)
    ]


Cells = tuple[list[Any], str]
INTEGERS: list[Cells] = [
    (ACCOUNTS, "int64"),
    (ACCOUNTS, "float64"),
    ([str(it) for it in ACCOUNTS], "object"),
    ([f"{it}.0" for it in ACCOUNTS], "object"),
    ([str(it) for it in pa.array(ACCOUNTS, pa.float64()).cast(pa.string()).to_pylist()], "object"),
]
FLOATS: list[Cells] = [
    (SMALL, "float64"),
    ([str(it) for it in SMALL], "object"),
    (pa.array(SMALL).cast(pa.string()).to_pylist(), "object"),
    (["1E-05", "0.0000015", "1.0E-7", "2.50e-12", "12345678901.50"], "object"),
]
TIMES: list[Cells] = [
    (DAYS, "datetime64[ns]"),
    (DAYS, "datetime64[us]"),
    (DAYS, "datetime64[ms]"),
    (["2020-01-01", "2021-02-03 12:30:00", "2021-02-03T12:30:01.5"], "object"),
    ([str(pd.Timestamp(it)) for it in DAYS], "object"),
]
DATES: list[Cells] = [
    (["2020-01-01", "2021-02-03"], "datetime64[s]"),
    (["2020-01-01", "2021-02-03"], "datetime64[us]"),
    (["2020-01-01", "2021-02-03"], "date32[pyarrow]"),
    (["2020-01-01", "2021-02-03"], "object"),
]
TRUTHS: list[Cells] = [
    ([False, True], "bool"),
    ([False, True], "object"),
    (["False", "True"], "object"),
    (["FALSE", "TRUE"], "object"),
    ([0, 1], "int64"),
    ([0.0, 1.0], "float64"),
]


@pytest.mark.parametrize("family", [INTEGERS, FLOATS, TIMES, DATES, TRUTHS])
def test_a_cell_has_the_same_id_whatever_wrote_it(family: list[Cells]) -> None:
    for learnt in family:
        task = made(*learnt)
        check_same_inputs(task)
        expected = task.split("train").inputs[:, -1]
        assert set(expected.tolist()) == {1.0 + n for n in range(len(learnt[0]))}
        own = ids(task, framed(*learnt))
        assert 0 not in own[0]
        for other in family:
            assert ids(task, framed(*other)) == own, (learnt, other)


@pytest.mark.parametrize("family", [INTEGERS, FLOATS, TIMES, DATES])
def test_a_gap_changes_no_id(family: list[Cells]) -> None:
    for learnt in family:
        if learnt[1] in ("int64", "object"):
            continue
        task, frame = made(*learnt), framed(*learnt)
        whole = ids(task, frame)
        frame.loc[5, "c"] = None
        for before, after in zip(whole, ids(task, frame), strict=True):
            assert [*after[:5], *after[6:]] == [*before[:5], *before[6:]]
            assert after[5] == 0


def test_categories_are_the_same_of_every_type() -> None:
    for family in (INTEGERS, FLOATS, TIMES, DATES):
        assert len({made(*learnt).fitted.categories["c"] for learnt in family}) == 1


def test_words_that_are_no_truths_stay_apart() -> None:
    task = made(["true", "false", "maybe"])
    assert ids(task, framed(["1", "0", "maybe"]))[0][:3] == [0, 0, 2]


@pytest.mark.parametrize("code", ["1E5", "12e4", "007", "1e+", "2020-01-01 00:00", "e-07"])
def test_codes_are_left_as_they_are(code: str) -> None:
    assert texts_of([code]) == [code]


def test_classes_of_floats_are_named_as_whole_numbers() -> None:
    frame = framed([12345678901.0, 20240101.0], "float64")
    keys = {"kind": "binary", "positive": 20240101}
    task = Table(frame, targets={"c": keys})
    assert task.targets[0].classes == ("12345678901", "20240101")
    task = Table(frame, targets={"c": "multiclass", "y": "regression"})
    assert task.targets[0].classes == ("20240101", "12345678901")


def test_levels_and_parts_are_named_as_whole_numbers() -> None:
    months = [202401010000, 202402010000, 202403010000]
    frame, targets = framed([float(it) for it in months], "float64"), {"y": "regression"}
    levels = Table(frame, targets=targets, kinds={"c": months})
    assert levels.features["c"].values == tuple(map(str, months))
    check_same_inputs(levels)
    parts = Table(
        frame, targets=targets, split={"column": "c", "val": months[1], "test": months[2]}
    )
    assert [len(parts.split(name).inputs) for name in ("train", "val", "test")] == [30, 30, 30]


def test_the_rule_is_the_same_at_serving() -> None:
    """It stands twice, since what is served imports nothing of gatelab."""
    reader, odd = reader_of(made(["a", "b"])), [None, "", "-0.0", "1e+400", "1e-400", "+1.50", "Z"]
    values = [
        *odd,
        *(it for family in (INTEGERS, FLOATS, TIMES) for cells, _ in family for it in cells),
    ]
    texts = pa.array([None if it is None else str(it) for it in values], pa.large_string())
    assert reader._spelled(texts).equals(canonical(texts))
