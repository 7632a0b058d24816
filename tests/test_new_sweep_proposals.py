"""What `gatelab new sweep` proposes: targets, their names and kinds, values that stand for none."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.tasks import Table
from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.proposed_targets import propose_target
from gatelab.tasks.tables.sources import as_arrow
from tests.new_sweeps import new, targets, task_of
from tests.test_table_task import people
from tests.written_tables import TABLES


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATELAB_DATA", raising=False)


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (["mean radius", "mean_radius"], ["mean_radius_2", "mean_radius"]),
        (["mean"], ["mean_"]),
        (["Y", "y"], ["Y", "y_2"]),
        (["%"], ["target"]),
    ],
)
def test_targets_have_names_that_metrics_can_have(columns: list[str], labels: list[str]) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.normal(size=60) for name in (*columns, "x")})
    frame.to_csv("t.csv", index=False)
    new("t.csv", *targets(*columns))
    assert [it.name for it in Table(**task_of("t.yaml")).targets] == labels
    assert CliRunner().invoke(main, ["validate", "t.yaml"]).exit_code == 0


def test_a_target_whose_name_metrics_cannot_have_is_told_of() -> None:
    frame = pd.DataFrame({"two words": [0.0, 1.0] * 30, "x": range(60)})
    with pytest.raises(TableError, match=r"targets: \{two words: \{kind: binary, name: two_words"):
        Table(frame, targets={"two words": "binary"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([5 + at * 1e-13 for at in range(9)], "regression: 9 numbers, 5 to 5.0000000000008"),
        ([5, 5.0000001], "binary: 2 values, `5` and `5.0000001`"),
        ([at / 7 for at in range(9)], "regression: 9 numbers, 0 to 1.14286"),
    ],
)
def test_the_ends_of_numbers_are_told_apart(values: list[float], said: str) -> None:
    pd.DataFrame({"y": values * 6, "x": range(6 * len(values))}).to_csv("t.csv", index=False)
    assert f"`y` is proposed as {said}." in new("t.csv", *targets("y")).stdout


PROPOSALS = [
    (["yes", "no"] * 6, "binary", ()),
    (["Yes", "yes", "no"] * 4, "binary", ()),
    (["yes", "no", "?"] * 4, "binary", ("?",)),
    (["0", "1", "NA"] * 4, "binary", ("NA",)),
    ([1, 2] * 6, "binary", ()),
    ([-1, 1] * 6, "binary", ()),
    ([1, 2, 3, 4, 5] * 3, "multiclass", ()),
    ([1, 2, 3, 4, 5] * 2, "regression", ()),
    ([*range(11)] * 3, "regression", ()),
    ([1.5, 2.5, 3.0] * 5, "regression", ()),
    (["1.5", "2.5", "3.5", "NA", "?"] * 5, "regression", ("?",)),
    ([20, 30, 40, -999] * 3, "multiclass", ("-999",)),
    (["a", "b", "unknown", "c"] * 3, "multiclass", ()),
    (["007", "008", "009"] * 4, "multiclass", ()),
    ([True, False] * 6, "binary", ()),
]


@pytest.mark.parametrize(("values", "kind", "missing"), PROPOSALS)
def test_kinds_of_targets(values: list[object], kind: str, missing: tuple[str, ...]) -> None:
    column = as_arrow(pd.DataFrame({"y": values})).column("y").combine_chunks()
    found = propose_target(Cells("y", column, 2))
    assert (found.kind, found.missing) == (kind, missing)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([f"name{at}" for at in range(40)], "no kind fits 40 different words in 40 rows"),
        ([*pd.date_range("2026-01-01", periods=40)], "no kind fits dates"),
        ([f"2026-01-0{at % 5 + 1}" for at in range(40)], "no kind fits dates"),
        ([10**18 + at % 5 for at in range(40)], "no kind fits whole numbers past 2^53"),
        ([*(f"{10**18 + at}" for at in range(39)), "NA"], "whole numbers past 2^53, which are"),
        ([f"{at % 28 + 1}.3.{1980 + at}" for at in range(40)], "no kind fits dates; make numbers"),
        ([f"$2,{at + 100}.50" for at in range(40)], "`$2,100.50` (row 1): write plain numbers."),
        (["k.A.", *(f"{at},5" for at in range(39))], "`0,5` (row 2): write plain numbers, or say"),
        (["k.A.", *(f"{at}.5" for at in range(39))], "39 numbers and `k.A.` (row 1): `--option 'm"),
    ],
)
def test_what_can_be_no_target(values: list[object], said: str) -> None:
    pd.DataFrame({"y": values, "x": range(40)}).to_parquet("t.parquet")
    assert said in new("t.parquet", *targets("y"), code=2).stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([f"$2,{at + 100}.50" for at in range(40)], "`$2,100.50` (row 1): write plain numbers.\n"),
        (
            [f"2026-01-{at % 28 + 1:02}" for at in range(40)],
            "looks like dates (`2026-01-01`, row 1",
        ),
        (
            ["5%", "low", "mid", "high", "big"] * 8,
            "`low` (row 2): `--option 'missing={\"y\": [low]}'`",
        ),
        (["5%", *range(39)], "`5%` (row 1): write plain numbers.\n"),
    ],
)
def test_a_true_value_is_not_proposed_as_missing(values: list[object], said: str) -> None:
    pd.DataFrame({"y": [str(it) for it in values], "x": range(40)}).to_parquet("t.parquet")
    assert said in new("t.parquet", *targets("y=regression"), code=2).stderr


def test_an_option_for_a_name_with_a_backtick_can_be_copied() -> None:
    days = pd.date_range("2026-01-01", periods=40).astype(str)
    frame = pd.DataFrame({"be`gin": days, "x": np.arange(40.0) ** 2, "y": [0, 1] * 20})
    frame.to_csv("t.csv", index=False)
    refused = new("t.csv", *targets("y"), code=2).stderr
    _, option, keys, *_ = shlex.split(refused.partition("are no feature:")[2].replace("`", " ` "))
    new("t.csv", *targets("y"), option, keys.rstrip("` ,"))
    assert task_of("t.yaml")["drop"] == ["be`gin"]


def test_values_that_stand_for_none_are_proposed() -> None:
    new(TABLES / "sentinels.csv", *targets("income"))
    assert task_of("sentinels.yaml")["missing"] == {"income": [-999], "age": [-999], "job": ["?"]}
    frame = pd.DataFrame({"sex": ["m", "f", "NA"] * 20, "x": np.arange(60) ** 2})
    frame.to_csv("sex.csv", index=False)
    new("sex.csv", *targets("sex=binary"))
    assert task_of("sex.yaml")["missing"] == {"sex": ["NA"]}
    fixed = ("--option", "missing={age: []}", "--output", "fixed.yaml")
    new(TABLES / "sentinels.csv", *targets("income"), *fixed)
    assert task_of("fixed.yaml")["missing"] == {"age": [], "income": [-999], "job": ["?"]}


def test_words_that_may_mean_themselves_are_only_told_of() -> None:
    frame = pd.DataFrame({"job": ["cook", "unknown", "clerk"] * 20, "y": [0, 1, 0] * 20})
    frame["x"] = np.arange(60.0) ** 2
    frame.to_csv("t.csv", index=False)
    assert "`job` has `unknown` in 20 rows: missing?" in new("t.csv", *targets("y")).stdout
    assert "missing" not in task_of("t.yaml")


def test_signs_among_numbers_are_proposed_and_words_are_asked_about() -> None:
    rows = [f"{'?' if at % 9 == 0 else at},{at % 2}" for at in range(40)]
    Path("t.csv").write_text("\n".join(["x,y", *rows]))
    new("t.csv", *targets("y"))
    written = task_of("t.yaml")
    assert (written["missing"], written["kinds"]) == ({"x": ["?"]}, {"x": "number"})
    refused = new(TABLES / "mixed_types_late.csv", *targets("y"), code=2).stderr
    assert "`--option 'missing={x: [unknown]}'` or `--option 'kinds={x: category}'`?" in refused
    new(TABLES / "mixed_types_late.csv", *targets("y"), "--option", "missing={x: [unknown]}")
    assert task_of("mixed_types_late.yaml")["kinds"] == {"x": "number"}


def test_without_a_target_the_likely_ones_are_named() -> None:
    people(60).to_csv("people.csv", index=False)
    line = new("people.csv", code=2).stderr
    assert line == (
        "gatelab: say by `--target` which columns are to be learned: job (multiclass), income "
        "(binary), region (multiclass); of numbers age, height, weeks.\n"
    )
