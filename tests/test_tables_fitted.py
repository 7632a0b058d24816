"""What is fitted to the train rows of a table: by hand, and as scikit-learn's pipelines have it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from gatelab.tasks.tables import fitted
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.fitted import (
    LEAST_SPREAD_OF_A_TARGET,
    Fitted,
    NumberFit,
    Numbers,
    Rows,
    Scale,
    category_texts,
    fit_category,
    fit_features,
    fit_numbers,
    fit_scale,
    ids,
)
from gatelab.tasks.tables.table import Table
from tests.made_tables import category, number

GAP = math.nan
AGE = number("age", [1, GAP, 3, 8, GAP, 1000])
ZONE = category("zone", ["b", "a", "b", None, "c", "a"])
TRAIN = np.arange(4)
DEVIATION = math.sqrt(26.75 / 4)
"""Of 1, 3, 3, 8: the gap of the train rows is their median, 3, and their mean is 3.75."""


def fit_number(column: Column, train: Rows) -> NumberFit:
    [fit] = fit_numbers([column], train).values()
    return fit


def test_numbers_by_hand() -> None:
    assert fit_number(AGE, TRAIN) == NumberFit(3, Scale(3.75, pytest.approx(DEVIATION)), True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("most", [1, 300, 2**20])
def test_columns_that_are_fitted_together_are_as_each_alone(
    weighted: bool, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last digit: what a table's identity is must not depend on its other columns."""
    random = np.random.default_rng(0)
    values = random.normal(random.normal(size=9) * 100, 10, (70, 9))
    values[random.random(values.shape) < 0.1] = GAP
    values[:, 7], values[:, 8] = GAP, 3.3
    columns = [number(f"x{at}", column) for at, column in enumerate(values.T)]
    train, weights = np.arange(50), random.uniform(0, 3, 70) if weighted else None
    alone = [fit_numbers([column], train, weights) for column in columns]
    monkeypatch.setattr(fitted, "MOST_AT_ONCE", most)
    assert fit_numbers(columns, train, weights) == {n: it[n] for it in alone for n in it}


def test_a_wide_table_is_fitted_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of scikit-learn takes milliseconds: of 11,000 columns that was minutes."""
    calls: list[int] = []
    fit = StandardScaler.fit

    def counted(self: StandardScaler, numbers: Numbers, **more: object) -> StandardScaler:
        calls.append(numbers.shape[1])
        return fit(self, numbers, **more)

    monkeypatch.setattr(StandardScaler, "fit", counted)
    fit_numbers([number(f"x{at}", [1, 2, 4]) for at in range(11_000)], np.arange(3))
    assert calls == [11_000]


def test_categories_by_hand() -> None:
    """Of the train rows b is two, a and the missing value are one; c is met later alone."""
    assert fit_category(ZONE, TRAIN, 1) == ("a", "b", None)
    assert fit_category(ZONE, TRAIN, 2) == ("b",)
    assert ids(("a", "b", None), category_texts(ZONE)).tolist() == [2, 1, 2, 3, 0, 1]
    assert ids(("b",), category_texts(ZONE)).tolist() == [1, 0, 1, 0, 0, 0]
    assert ids((), category_texts(ZONE)).tolist() == [0] * 6


def test_inputs_by_hand() -> None:
    """Numbers, then flags, then ids; of any rows, in float32."""
    whole = number("whole", [5, 7, 5, 7, 6, 8])
    columns = {"zone": ZONE, "age": AGE, "whole": whole}
    fitted = Fitted(*fit_features(columns, TRAIN, 1), {})
    found = fitted.inputs(columns, np.array([4, 0]))
    wanted = [[-0.75 / DEVIATION, 0, 1, 0], [-2.75 / DEVIATION, -1, 0, 2]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == np.float32


def test_a_gap_anywhere_in_the_file_makes_a_flag() -> None:
    assert fit_number(number("x", [1, 2, 3, GAP]), np.arange(3)).flagged
    assert not fit_number(number("x", [1, 2, 3, 4]), np.arange(3)).flagged


def test_a_number_that_train_never_knows_is_0_and_flagged() -> None:
    column = number("x", [GAP, GAP, 5])
    fit = fit_number(column, np.arange(2))
    assert fit == NumberFit(0, Scale(0, 1), True)


def test_numbers_as_scikit_learn_has_them() -> None:
    random = np.random.default_rng(0)
    values = random.lognormal(3, 2, 500)
    values[random.random(500) < 0.1] = np.nan
    train = np.sort(random.permutation(500)[:350])
    column = number("x", values.tolist())
    fitted = Fitted({"x": fit_number(column, train)}, {}, {})
    pipeline = make_pipeline(SimpleImputer(strategy="median", add_indicator=True)).fit(
        values[train, None]
    )
    scaler = StandardScaler().fit(pipeline.transform(values[train, None])[:, :1])
    wanted = pipeline.transform(values[:, None])
    wanted[:, :1] = scaler.transform(wanted[:, :1])
    found = fitted.inputs({"x": column}, np.arange(500))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_categories_as_scikit_learn_numbers_them() -> None:
    """Its codes count from 0, and are -1 where a value is unknown."""
    random = np.random.default_rng(0)
    texts = random.choice(["a", "A", "ä", "10", "9", "zz"], 300).tolist() + ["new"]
    train = np.arange(300)
    column = category("x", texts)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    wanted = encoder.fit(np.array(texts, object)[train, None]).transform(
        np.array(texts, object)[:, None]
    )
    found = ids(fit_category(column, train, 1), category_texts(column))
    assert found.tolist() == (wanted[:, 0] + 1).tolist()


def test_seconds_of_the_epoch_a_minute_apart_stay_apart() -> None:
    """In float32, 1.7e9 and 60 more are the same number."""
    column = number("seen", [1.7e9, 1.7e9 + 60, 1.7e9 + 120])
    fitted = Fitted({"seen": fit_number(column, np.arange(3))}, {}, {})
    found = fitted.inputs({"seen": column}, np.arange(3))[:, 0]
    assert found == pytest.approx([-math.sqrt(1.5), 0, math.sqrt(1.5)], rel=1e-6)


@pytest.mark.parametrize("values", [[4.0, 4.0], [1e8, 1e8 + 1.5e-8], [0.1 + 0.2, 0.3]])
def test_a_deviation_of_rounding_alone_is_none(values: list[float]) -> None:
    assert fit_scale("x", np.array(values)).deviation == 1


@pytest.mark.parametrize("values", [[0.0, 1e-30], [1e8, 1e8 + 1], [-1e-3, 1e-3]])
def test_a_small_deviation_is_one(values: list[float]) -> None:
    deviation = fit_scale("x", np.array(values)).deviation
    assert deviation == pytest.approx((values[1] - values[0]) / 2)


def test_numbers_that_are_too_large() -> None:
    with pytest.raises(TableError, match="column 'x': numbers to 1e\\+300 are too large"):
        fit_scale("x", np.array([1e300, -1e300]))


@pytest.mark.parametrize("largest", [3e-310, 1e-40])
def test_numbers_that_are_too_small(largest: float) -> None:
    """In float32 they, and any score in their unit, are 0."""
    with pytest.raises(
        TableError, match="column 'x': numbers that differ by .* are too small to s"
    ):
        fit_scale("x", np.array([0.0, largest]))


def test_a_target_of_large_numbers_that_differ_by_little_is_scaled() -> None:
    """The deviation of 0 to 99 is the root of (100**2 - 1) / 12."""
    frame = pd.DataFrame({"y": 1e15 + np.arange(100.0), "x": np.arange(100.0) % 7 + 0.5})
    table = Table(frame, targets={"y": "regression"}, split_seed=1)
    train = table.data("train").targets[:, 0]
    assert train.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    numbers = 1e15 + np.arange(100.0)
    scale = fit_scale("y", numbers, least=LEAST_SPREAD_OF_A_TARGET)
    assert scale.deviation == pytest.approx(math.sqrt(9999 / 12), rel=1e-9)
    assert fit_scale("x", numbers).deviation == 1


def test_a_target_of_numbers_that_are_too_small_is_refused() -> None:
    frame = pd.DataFrame({"y": 1e-310 * np.arange(1, 101.0), "x": np.arange(100.0) % 7 + 0.5})
    with pytest.raises(TableError, match="column 'y': numbers that differ by 9.* too small"):
        Table(frame, targets={"y": "regression"})
