"""A target's values whose squared error single precision cannot hold: told before a search."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gatelab.tasks import Loss, Split, SplitName, SyntheticGroups, Target, register_loss
from gatelab.tasks.check.data import check_data
from tests.bad_specs import run, spec

FAR = 2e19
"""Its square is 4e38, of at most 3.4e38."""


@register_loss("absolute")
class Absolute(Loss):
    """It squares nothing."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0] - target).abs()


class Far(SyntheticGroups):
    """A task in which a value of one split is as it is told."""

    def __init__(self, where: SplitName, value: float, *, known: bool = True) -> None:
        super().__init__(num_targets=2, train_rows=20, val_rows=20, test_rows=20)
        self.where, self.value, self.known = where, value, known

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        mask = torch.ones_like(targets, dtype=torch.bool)
        if name == self.where:
            targets[13, 1], mask[13, 1] = self.value, self.known
            mask[3, 1] = False
        return Split(inputs, targets, mask)


@pytest.mark.parametrize("where", ["train", "val", "test"])
@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_told_with_its_row(where: SplitName, sign: int) -> None:
    said = rf"{where} target 't001' holds {'-' if sign < 0 else ''}2e\+19 \(row 13\), whose squared"
    with pytest.raises(ValueError, match=said):
        check_data(Far(where, sign * FAR))


def test_what_can_be_squared_or_is_unknown_is_taken() -> None:
    check_data(Far("test", 1e19))
    check_data(Far("test", FAR, known=False))


def test_a_loss_that_squares_nothing_takes_it() -> None:
    task = Far("val", FAR)
    task.targets = tuple(Target(t.name, t.kind, loss="absolute") for t in task.targets)
    check_data(task)


def test_of_several_columns_it_is_told_in_the_users_unit() -> None:
    task = Far("val", FAR)
    task.targets = (Target("place", "regression", width=2, scale=(1.0, 10.0)),)
    given = task.split
    task.split = lambda name: Split(*given(name)[:2])  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"target 'place' holds 2e\+20 \(row 13\)"):
        check_data(task)


TABLE = "{name: table, path: far.csv, split: {column: fold, val: val, test: test}, targets: "


def write_far(last: str) -> None:
    """Write a table of x, y and z whose last row is as it is told."""
    folds = ["train"] * 40 + ["val"] * 20 + ["test"] * 19
    rows = [f"{n % 7},{n % 11 / 3},{'ab'[n % 2]},{fold}" for n, fold in enumerate(folds)]
    Path("far.csv").write_text("\n".join(["x,y,z,fold", *rows, f"{last},test"]))


def said_of(task: str, *, by: str, code: int) -> str:
    Path("far.yaml").write_text(spec(task=TABLE + task))
    found, said = run(by, "far.yaml")
    assert found == code, said
    return said


def test_a_table_in_which_one_row_is_far_from_all_of_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_far("3,1e30,a")
    said = said_of("{y: regression}}", by="launch", code=2)
    assert "test target 'y' holds 1e+30 (row 19), whose squared error is infinite" in said
    said_of("{y: regression}, missing: {y: [1e30]}}", by="validate", code=0)


def test_a_table_in_which_an_input_is_far_from_all_of_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network's error there is as far; of a class that such a row has a loss is a number."""
    monkeypatch.chdir(tmp_path)
    write_far("1e30,2.5,a")
    said = said_of("{y: regression}}", by="launch", code=2)
    assert "tower of 'y' gives an error whose square is infinite for test row 19" in said
    said_of("{z: binary}}", by="validate", code=0)
