"""What is said of a table, and what makes scores on it doubtful, before anything is trained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.tasks import Table
from gatelab.tasks.check.warned import warnings_of
from gatelab.tasks.digits_pairs import DigitsPairs
from gatelab.tasks.tables.lines import gathered
from gatelab.tasks.tables.scarcity import scarcity
from gatelab.tasks.tables.target_columns import TargetColumn
from gatelab.tracking.schema import Tags
from tests import in_process
from tests.launched import read
from tests.written_tables import TABLES

GAP = math.nan


def test_classes_that_lack_rows_by_hand() -> None:
    """Rows 0 to 3 are train's, 4 to 6 val's, 7 to 9 test's; row 9 knows no `b`."""
    splits = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], np.int8)
    a = np.array([0, 1, 2, 1, 0, 0, 1, 2, 0, 1], np.float64)
    b = np.array([0, 1, 0, 1, 0, 1, 1, 0, 1, GAP])
    c = np.linspace(0, 1, 10)
    found = scarcity(
        [
            TargetColumn("a", "multiclass", a, ("p", "q", "r")),
            TargetColumn("b", "binary", b, ("n", "y")),
            TargetColumn("c", "regression", c, ()),
        ],
        splits,
    )
    assert found == (
        "val has no row of class 'r' of target `a`.",
        "class 'n' of target `b` stands in 1 of 2 known rows of test: with fewer than 50, scores "
        "vary by chance.",
        "3 rows of val of target `c` are known: with fewer than 10, scores vary by chance.",
        "3 rows of test of target `c` are known: with fewer than 10, scores vary by chance.",
    )


@pytest.mark.parametrize(
    ("known", "told"), [(0, "no rows of test"), (1, "1 row of test"), (9, "9 rows"), (10, "")]
)
def test_numbers_that_few_rows_know(known: int, told: str) -> None:
    values = np.array([1.0] * 20 + [2.0] * known + [GAP] * 5)
    splits = np.array([1] * 20 + [2] * (known + 5), np.int8)
    columns = [TargetColumn(name, "regression", values, (), vector="v") for name in "ab"]
    lines = scarcity(columns, splits)
    assert len(lines) == bool(told) and all(told in line and "`v`" in line for line in lines)


@pytest.mark.parametrize(("rows", "lines"), [(49, 1), (50, 0)])
def test_fifty_rows_of_the_rarer_class_are_enough(rows: int, lines: int) -> None:
    values = np.array([0, 1] + [1] * rows + [0] * 60, np.float64)
    splits = np.array([1, 1] + [2] * (rows + 60), np.int8)
    assert len(scarcity([TargetColumn("b", "binary", values, ("n", "y"))], splits)) == lines


def test_a_table_warns_of_what_gives_its_target_away() -> None:
    task = Table(path=str(TABLES / "leak_copy.csv"), targets={"y": "binary"})
    assert any("`" in line and "drop" in line for line in warnings_of(task))


def test_a_table_warns_of_what_says_nothing_and_of_scarce_classes() -> None:
    rows = np.arange(200)
    frame = pd.DataFrame({"x": rows * rows % 97, "flat": rows == 7, "y": rows % 2})
    warned = Table(frame.astype(int), targets={"y": "binary"}).warnings()
    assert any("`flat` is nearly constant" in line for line in warned)
    assert any("known rows of test: with fewer than 50" in line for line in warned)


@pytest.mark.parametrize("by", ["group", "time"])
def test_what_divides_the_rows_is_no_feature_that_is_warned_of(by: str) -> None:
    """Patients repeat, with one outcome each, and the outcome grows with time."""
    rows = np.arange(600)
    frame = pd.DataFrame(
        {"patient": rows // 10, "t": rows, "x": rows * 7919 % 601, "y": rows * 2.0}
    )
    column = {"group": "patient", "time": "t"}[by]
    task = Table(frame, targets={"y": "regression"}, split={by: column})
    assert not any(f"`{column}`" in line for line in task.warnings()), task.warnings()
    other = Table(frame, targets={"y": "regression"})
    assert any(f"`{column}`" in line for line in other.warnings())


@pytest.mark.parametrize("split", ["random", {"group": "g"}, {"time": "g"}])
def test_copies_are_to_be_kept_together_where_that_can_be(split: Any) -> None:
    rows = np.arange(200)
    frame = pd.DataFrame({"g": rows // 4, "x": rows % 5, "y": rows % 5 % 2})
    (line,) = [
        line
        for line in Table(frame, targets={"y": "binary"}, split=split, drop=["g"]).warnings()
        if "are copies of rows of train, so that scores are too good" in line
    ]
    assert ("`duplicates: together`" in line) == (split == "random")


def test_lines_alike_are_gathered_by_hand() -> None:
    alike = [f"`c{i}` has {i} gaps; `drop: [c{i}]`?" for i in range(9)]
    found = gathered([alike[0], "`x` numbers the rows", *alike[1:]])
    assert found == (
        *alike[:3],
        "so it is with 6 more columns: `c3`, `c4`, `c5`, `c6`, `c7`, ...",
        "`x` numbers the rows",
    )
    assert gathered(alike[:4]) == (*alike[:4],)
    assert gathered(["no name", "no name either"]) == ("no name", "no name either")


def test_a_table_of_many_columns_says_no_more_than_one_reads() -> None:
    """300 columns of few integers, nearly constant, and 200 of one value."""
    rows = np.arange(400)
    columns = {f"few{i}": (rows == i) * (i + 2) for i in range(300)}
    columns |= {f"one{i}": np.ones(400) for i in range(200)}
    frame = pd.DataFrame({**columns, "y": rows % 2})
    task = Table(frame, targets={"y": "binary"})
    assert len(task.said) < 20 and len(task.warnings()) < 10
    assert "so it is with 297 more columns: `few3`, " in "".join(task.said)
    assert "so it is with 197 more columns: `one3`, " in "".join(task.said)


def test_a_task_that_says_nothing_is_warned_of_for_its_losses_alone() -> None:
    assert warnings_of(DigitsPairs(train_rows=64, val_rows=256, test_rows=256)) == ()


class Raising(DigitsPairs):
    def warnings(self) -> tuple[str, ...]:
        raise RuntimeError("no index")


def test_warnings_that_raise_are_a_warning() -> None:
    (line,) = warnings_of(Raising(train_rows=64, val_rows=256, test_rows=256))
    assert line.startswith("what the task warns of cannot be had: RuntimeError: no index (")


SPEC = f"""
name: leaky
task: {{name: table, path: {TABLES / "leak_copy.csv"}, targets: {{y: binary}}}}
gates: [softmax]
model: {{num_experts: 2}}
baselines: false
training: {{max_epochs: 2}}
search: {{trials: 2}}
evaluation: {{seeds: 2}}
"""


def test_validate_says_what_was_found_and_warns(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    done = CliRunner().invoke(main, ["validate", str(spec)])
    assert done.exit_code == 0, done.output
    assert " rows of train, " in done.stdout and "known" in done.stdout
    warned = [line for line in done.stderr.splitlines() if "warning" in line]
    assert any("task: 'table': " in line and "drop" in line for line in warned)


def test_launch_says_it_too_and_records_the_warnings(place: Path) -> None:
    (place / "leaky.yaml").write_text(SPEC)
    output = in_process.gatelab(place, "launch", "leaky.yaml")
    assert " rows of train, " in output and "warning: " in output
    (sweep,) = (run for run in read(place, "leaky").runs if run.stage == "sweep")
    assert "drop" in sweep.tags[Tags.WARNINGS]
