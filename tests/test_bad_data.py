"""A task's data and targets that cannot be learned from, or not be recorded: one line of each."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from gatelab.sweeps.cli import main
from gatelab.tasks import Split, SplitName, SyntheticGroups, Target, register_task
from gatelab.tasks.check.data import check_data
from gatelab.tasks.target import Kind
from gatelab.tasks.task import Network, Truth
from tests.bad_specs import run, spec


@register_task("spoilt")
class Spoilt(SyntheticGroups):
    """A task with a NaN where it is told to have one."""

    def __init__(self, *, where: str = "inputs") -> None:
        super().__init__(train_rows=20, val_rows=20, test_rows=20)
        self.where = where

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        part = split.inputs if self.where == "inputs" else split.targets
        part[17, 0] = torch.nan
        return split


@pytest.mark.parametrize("where", ["inputs", "targets"])
def test_nan_in_the_data(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(spec(task=f"{{name: spoilt, where: {where}}}"))
    code, message = run("launch", "bad.yaml")
    assert (code, message.count("\n")) == (2, 1)
    what = {"inputs": "train inputs", "targets": "train target 't000'"}[where]
    assert f"'spoilt': 1 of 20 rows of {what} hold NaN or inf (first: row 17)" in message
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_masked_nan_is_no_error() -> None:
    class Masked(SyntheticGroups):
        def split(self, name: SplitName) -> Split:
            inputs, targets, *_ = super().split(name)
            targets[3, 1] = torch.nan
            return Split(inputs, targets, ~targets.isnan())

    check_data(Masked(train_rows=20, val_rows=20))


@pytest.mark.parametrize("where", ["train", "val", "test"])
@pytest.mark.parametrize("columns", [[0], [0, 1]])
def test_a_target_of_which_nothing_is_known(where: SplitName, columns: list[int]) -> None:
    """Its loss would be 0, the lowest there is: as of a mask the wrong way round."""

    class Unknown(SyntheticGroups):
        def split(self, name: SplitName) -> Split:
            inputs, targets, *_ = super().split(name)
            mask = torch.ones_like(targets, dtype=torch.bool)
            mask[:, columns] = name != where
            return Split(inputs, targets, mask)

    with pytest.raises(ValueError, match=f"{where} knows no value of 't000'"):
        check_data(Unknown(num_targets=2, train_rows=20, val_rows=20, test_rows=20))


class Odd(SyntheticGroups):
    """A small task."""

    def __init__(self) -> None:
        super().__init__(num_targets=2, train_rows=20, val_rows=20, test_rows=20)


@register_task("odd_ratio")
class OddRatio(Odd):
    """Knows no ratio."""

    def test_to_train(self) -> float:
        raise KeyError("rows")


@register_task("odd_truth")
class OddTruth(Odd):
    """Plants one group too few."""

    truth = Truth(groups=(0,))


@register_task("odd_width")
class OddWidth(Odd):
    """Its gates read a text."""

    def network(self) -> Network:
        return replace(super().network(), gate_features="4")  # type: ignore[arg-type]


@register_task("no_network")
class NoNetwork(Odd):
    """Has none."""

    def network(self) -> Network:
        return None  # type: ignore[return-value]


class Leaves(nn.Module):
    """Ends whatever calls it."""

    def forward(self, x: Tensor) -> Tensor:
        sys.exit(0)


@register_task("leaving")
class Leaving(Odd):
    """Leaves in silence."""

    def network(self) -> Network:
        return replace(super().network(), bottom=Leaves)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("leaving", "task: 'leaving': the bottom raises SystemExit: it calls sys.exit(0) ("),
        ("odd_ratio", "task: 'odd_ratio': test_to_train() raises KeyError: 'rows' ("),
        ("odd_truth", "task: 'odd_truth': the truth has 1 groups and 0 sets of experts for 2 "),
        ("odd_width", "model: `gate_features >= 1` must hold, a whole number, but got '4'."),
        ("no_network", "model: `network` must give a Network, but gives None."),
    ],
)
def test_what_no_trial_would_outlive(
    task: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what only an evaluation asks, when the search is spent."""
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(spec(task=task, gates="[softmax, top_k]"))
    code, message = run("validate", "bad.yaml")
    assert (code, message.count("\n")) == (2, 1), message
    assert message.startswith(f"gatelab: bad.yaml: {said}")


@register_task("of_its_own_code")
class OfItsOwnCode(SyntheticGroups):
    """Its targets are read by code, which fails; or it says what it does while it makes a split."""

    def __init__(self, *, fails: bool = True) -> None:
        super().__init__(num_targets=2, train_rows=20, val_rows=20, test_rows=20)
        self.fails = fails

    def __getattribute__(self, name: str) -> object:
        if name == "targets" and object.__getattribute__(self, "__dict__").get("fails"):
            raise KeyError("no such column")
        return super().__getattribute__(name)

    def split(self, name: SplitName) -> Split:
        print("reads", name)
        return super().split(name)


def test_targets_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(spec(task="of_its_own_code"))
    code, message = run("validate", "bad.yaml")
    assert (code, message.count("\n")) == (2, 1)
    assert message.startswith("gatelab: bad.yaml: task: KeyError: 'no such column' (")


def test_what_a_split_prints_is_no_part_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where test is made again, as it is not kept."""
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(spec(task="{name: of_its_own_code, fails: false}"))
    result = CliRunner().invoke(main, ["validate", "good.yaml"])
    assert result.exit_code == 0
    assert "reads" not in result.stdout and result.stderr.count("reads test") > 1


@register_task("misnamed")
class Misnamed(SyntheticGroups):
    """A task of two targets, the second of which is as it is told."""

    def __init__(
        self, *, called: str = "b", kind: Kind = "regression", weight: float = 1.0
    ) -> None:
        super().__init__(num_targets=2, train_rows=20, val_rows=20, test_rows=20)
        self.targets = (Target("a", "regression"), Target(called, kind, weight=weight))


@pytest.mark.parametrize("command", ["validate", "launch"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("called: a", ": 'misnamed': two targets are called 'a'"),
        ("called: A", ": 'misnamed': two targets are 'a', 'A'"),
        ("called: mean", ".called: no target is called 'mean', as the mean over targets is."),
        ("called: ../x", ": the name of a target must be"),
        ("kind: clasification", ".kind: target 'b' has the unknown kind 'clasification'"),
        ("weight: 0", ".weight: target 'b': `0 < weight < inf` must hold, but got (weight=0)."),
    ],
)
def test_targets_that_cannot_be_recorded(
    command: str, options: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(spec(task=f"{{name: misnamed, {options}}}"))
    code, message = run(command, "bad.yaml")
    assert (code, message.count("\n")) == (2, 1), message
    assert message.startswith(f"gatelab: bad.yaml: task{said}"), message
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]
