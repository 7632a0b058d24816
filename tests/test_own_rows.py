"""What makes scores on the rows of a task of one's own doubtful, said before a launch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.new_package import write_package
from gatelab.tasks import Split, Target
from gatelab.tasks.check.given_away import line_scores
from gatelab.tasks.check.own_rows import told_rows
from gatelab.tasks.check.warned import warnings_of
from gatelab.tasks.task import SplitName, tasks
from tests import in_process
from tests.broken_tasks import FEATURES, Sound


class Rows(Sound):
    """A number and an answer, in rows that are drawn, and then changed by a test."""

    targets = (Target("size", "regression"), Target("old", "binary", classes=("no", "yes")))

    def __init__(self, *, rows: int = 200, seed: int = 0) -> None:
        self.rows, self.seed = rows, seed

    def made(self, name: SplitName, generator: torch.Generator) -> Split:
        inputs = torch.randn(self.rows, FEATURES, generator=generator)
        return self.changed(name, inputs, torch.stack([inputs.sum(1), inputs[:, 0] > 0], 1))

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        return Split(inputs, targets)


class Unlike(Rows):
    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        scales = torch.ones(FEATURES)
        scales[1], scales[2] = 1e5, 0  # what does not vary has no scale
        return Split(inputs * scales, targets)


class Shared(Rows):
    """Has ten rows of train in test, where what is not known may be any number."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        known = torch.ones(targets.shape)
        known[:10, 0] = 0
        if name == "test":
            train = self.data("train")
            inputs[:10], targets[:10] = train.inputs[:10], train.targets[:10]
            targets[:10, 0] = torch.nan
        return Split(inputs, targets, known)


class Answered(Shared):
    """Has the inputs of train in test, with other answers: these are no copies."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        made = super().changed(name, inputs, targets)
        if name == "test":
            made.targets[:, 1] = 1 - made.targets[:, 1]
        return made


class Lacking(Rows):
    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        if name == "val":
            targets[:, 1] = 0
        return Split(inputs, targets)


class Unlearnt(Rows):
    """Has a class in val and test that train lacks."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        if name == "train":
            targets[:, 1] = 0
        return Split(inputs, targets)


class Scarce(Rows):
    """Knows 49 rows of a class in test, and a number in nine."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        known = torch.ones(targets.shape)
        if name == "test":
            targets[:, 1] = torch.arange(len(targets)) < 49
            known[9:, 0] = 0
        return Split(inputs, targets, known)


class Weighed(Rows):
    """Counts 49 rows of a class in test: others weigh nothing."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        weights = torch.ones(len(inputs))
        if name == "test":
            weights[targets[:, 1].bool().nonzero().flatten()[49:]] = 0
        return Split(inputs, targets, None, weights)


class Stamped(Rows):
    """Has seconds since 1970 in one column, in float64."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        stamps = 1.7e9 + torch.arange(len(inputs)).double()
        return Split(torch.cat([inputs[:, :1].double(), stamps[:, None]], 1), targets)


class Told(Rows):
    """Has in one column the number in another unit, where it is known, and in one the answer."""

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        known = torch.ones(targets.shape)
        known[:20, 0] = 0
        inputs[20:, 1], inputs[:, 2] = 3 - targets[20:, 0] / 2, targets[:, 1]
        return Split(inputs, targets, known)


@pytest.mark.parametrize(
    ("cls", "fragments"),
    [
        (Rows, []),
        (
            Told,
            [
                "column 1 of the inputs gives target `size` away: a line through it has R2 1 in",
                "column 2 of the inputs gives target `old` away",
            ],
        ),
        (Stamped, ["column 1 of test inputs has 200 values, of which float32 tells 3 apart: subt"]),
        (Answered, []),
        (Unlike, ["column 1 of the inputs spans"]),
        (Shared, ["0 of 200 rows of val and 10 of 200 rows of test stand in train too"]),
        (Lacking, ["val has no row of class 'yes' of target `old`."]),
        (
            Unlearnt,
            ["train has no row of class 'yes' of target `old`: no model can learn it."],
        ),
        (
            Scarce,
            ["9 rows of test of target `size` are known", "'yes' of target `old` stands in 49"],
        ),
        (Weighed, ["class 'yes' of target `old` stands in 49 of"]),
    ],
)
def test_each_reason_to_doubt_has_its_line(cls: type[Rows], fragments: list[str]) -> None:
    lines = warnings_of(cls())
    assert len(lines) == len(fragments), lines
    for line, fragment in zip(lines, fragments, strict=True):
        assert fragment in line


def test_how_well_a_line_goes_through_a_column() -> None:
    """Of (0, 0), (1, 1), (2, 0), (3, 1): cov 1, variances 5 and 1, so R2 = 1 / 5."""
    inputs = torch.tensor([[0.0, 7.0, 5.0], [1.0, 7.0, 3.0], [2.0, 7.0, 5.0], [3.0, 7.0, 3.0]])
    scores = line_scores(inputs, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert scores.tolist() == pytest.approx([0.2, 0.0, 1.0])


def test_the_test_split_is_not_kept() -> None:
    task = Rows()
    told_rows(task)
    assert set(task.__dict__["_made"]) == {"train", "val"}


def test_a_target_of_several_columns_is_known_as_a_whole() -> None:
    class Wide(Shared):
        targets = (Target("place", "regression", width=2),)

        def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
            made = super().changed(name, inputs, targets)
            assert made.mask is not None
            return Split(made.inputs, made.targets, made.mask[:, :1])

    assert any("10 of 200 rows of test stand in train too" in line for line in told_rows(Wide()))


@pytest.mark.parametrize(("batch", "warned"), [(140, False), (150, True)])
def test_few_steps_an_epoch_are_remarked(
    batch: int, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write_package(tasks, "my_own", tmp_path)
    monkeypatch.chdir(own)
    with in_process.modules_of(own):
        done = CliRunner().invoke(
            main, ["validate", "my_own.yaml", f"training.batch_size={batch}", "gates=[softmax]"]
        )
    assert done.exit_code == 0, done.output
    line = "my_own.yaml: an epoch has 19 steps, of 2,800 train rows by 150"
    assert (line in done.stderr) is warned
    assert done.stderr.count("warning") == warned


class Spoilt(Rows):
    """A test split that nobody can make, and one without rows."""

    def __init__(self, *, how: str = "missing") -> None:
        super().__init__()
        self.how = how

    def changed(self, name: SplitName, inputs: Tensor, targets: Tensor) -> Split:
        if name == "test" and self.how == "missing":
            raise FileNotFoundError("no test.csv")
        return Split(inputs[:0], targets[:0]) if name == "test" else Split(inputs, targets)


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_rows_that_cannot_be_looked_at_stop_nothing(how: str) -> None:
    """The evaluation says what is wrong with them, once it comes to it."""
    found = warnings_of(Spoilt(how=how))
    told = [line for line in found if line.startswith("the rows cannot be looked at: ")]
    assert ["no test.csv" in line for line in told] == ([True] if how == "missing" else [])


class Talking(Rows):
    """Warns in a text, whose letters would be lines."""

    def warnings(self) -> tuple[str, ...]:
        return "the labels are old"  # type: ignore[return-value]


def test_a_text_for_a_tuple_of_warnings_is_one() -> None:
    assert [line for line in warnings_of(Talking()) if "labels" in line] == ["the labels are old"]
