"""What fails after hours elsewhere: found by validate and launch alike before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from tests.in_process import modules_of

SPEC = """
name: c
task: {name: "mine:mine", which: WHICH}
model: {num_experts: 2}
gates: [softmax]
baselines: false
training: {max_epochs: 2}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
"""
MODULE = '''
import numpy as np
import torch
from torch import nn
from gatelab import Network, Split, Target, Task, register_task


class Flat(nn.Linear):
    def forward(self, x):
        return super().forward(x).squeeze(-1)


@register_task("mine")
class Mine(Task):
    """A task that is wrong in the way that it is told."""

    targets = (Target("a", "regression"), Target("b", "binary"))

    def __init__(self, *, which: str = ""):
        self.which = which

    def split(self, name):
        rows, width = (0 if self.which == f"no {name}" else 16), 4
        if self.which == f"gone {name}":
            raise FileNotFoundError(2, "No such file", f"{name}.csv")
        if self.which == "key":
            {}["label"]
        if self.which == "exit":
            raise SystemExit(0)
        if self.which == "wide" and name == "val":
            width = 5
        x = torch.randn(rows, width, generator=torch.Generator().manual_seed(0))
        if self.which == "late":
            self.seen = x.shape[1]
        y = torch.stack([x[:, 0] * self.scale(name), (x[:, 1] > 0).float()], 1)
        if self.which == f"third class {name}":
            y[3, 1] = 2
        if self.which == f"nan {name}":
            y[3, 0] = torch.nan
        if self.which == "sparse":
            return Split(x.to_sparse(), y)
        if self.which == "jagged":
            return Split(torch.nested.nested_tensor(list(x), layout=torch.jagged), y)
        if self.which == "double":
            x = x.double()
        if self.which == "arrays":
            return Split(x.numpy().astype(np.float64), y.numpy(), np.ones((rows, 2)))
        return Split({"x": x} if self.which == "dict" else x, y)

    def width(self):
        return self.seen if self.which == "late" else 4

    def scale(self, name):
        return 1e6 if self.which == "huge" else 1.0

    def network(self, *, width: int = 3):
        return Network(
            bottom=lambda: nn.Linear(7 if self.which == "bottom" else 4, 4),
            gate_input=nn.Identity,
            gate_features=5 if self.which == "gate" else 4,
            expert=lambda: nn.Linear(self.width(), width),
            tower=self.tower,
        )

    def tower(self, target):
        width = 8 if self.which == "tower" else 3
        return (Flat if self.which == "flat" else nn.Linear)(width, target.out_features)
'''


def tried(command: str, which: str, folder: Path, spec: str = SPEC) -> tuple[int, str, str]:
    """Return what a command says of the task that is wrong so: its code, stderr and stdout."""
    (folder / "mine.py").write_text(MODULE)
    (folder / "bad.yaml").write_text(spec.replace("WHICH", f"'{which}'"))
    with modules_of(folder):
        result = CliRunner().invoke(main, [command, "bad.yaml"])
    left = {path.name for path in folder.iterdir()} - {"__pycache__"}
    assert left == {"mine.py", "bad.yaml"}, "nothing is written"
    return result.exit_code, result.stderr, result.stdout


def line_of(text: str) -> int:
    """Return the number of the line of the module that begins so."""
    lines = MODULE.splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if line.strip().startswith(text)]
    return number


WRONG: list[tuple[str, str, str]] = [
    ("gone train", "split('train') raises FileNotFoundError: [Errno 2]", "raise FileNotFound"),
    ("gone test", "split('test') raises FileNotFoundError: [Errno 2]", "raise FileNotFound"),
    ("key", "task: 'mine:mine': split('train') raises KeyError: 'label'", '{}["label"]'),
    ("exit", "split('train') raises SystemExit: it calls sys.exit(0)", "raise SystemExit"),
    ("no train", "train inputs are of shape (0, 4)", ""),
    ("no test", "test inputs are of shape (0, 4)", ""),
    ("third class test", "test target 'b' holds 2, not one of the 2 classes 0 to 1", ""),
    ("nan test", "1 of 16 rows of test target 'a' hold NaN or inf (first: row 3)", ""),
    ("wide", "a row of val inputs is (5,) torch.float32, but one of train (4,) torch.float32", ""),
    ("dict", "train inputs must be one dense tensor or array of numbers, but is a dict", ""),
    ("sparse", "numbers, but is a sparse Tensor (torch.sparse_coo): give its `to_dense()`.", ""),
    ("jagged", "numbers, but is a nested Tensor: pad its rows, and let a column say what is", ""),
    ("bottom", "the bottom raises RuntimeError: mat1 and mat2 shapes", ""),
    ("gate", "the gate_input gives (8, 4), not (8, 5)", ""),
    ("tower", "the tower of 'a' raises RuntimeError: mat1 and mat2 shapes", "return super"),
    ("flat", "the tower of 'a' gives (8,), not (8, 1)", ""),
]


@pytest.mark.parametrize("command", ["validate", "launch"])
@pytest.mark.parametrize(("which", "said", "line"), WRONG, ids=[which for which, *_ in WRONG])
def test_it_is_one_line_with_the_place_in_the_users_code(
    which: str, said: str, line: str, command: str, tmp_path: Path
) -> None:
    code, message, out = tried(command, which, tmp_path)
    assert (code, message.count("\n"), out) == (2, 1, ""), message
    assert message.startswith("gatelab: bad.yaml: task")
    assert said in message
    if line and which != "tower":
        assert f"{tmp_path / 'mine.py'}, line {line_of(line)})" in message


@pytest.mark.parametrize(
    ("widths", "place"), [("[3, 4]", "model"), ("[4, 3]", "task"), ("4", "task")]
)
def test_of_several_networks_the_one_that_fails_is_named(
    widths: str, place: str, tmp_path: Path
) -> None:
    """The towers read three features; where another width has passed, it is not the task."""
    spec = SPEC.replace("num_experts: 2", f"num_experts: 2, width: {widths}")
    code, message, _ = tried("validate", "", tmp_path, spec)
    assert (code, message.count("\n")) == (2, 1), message
    assert message.startswith(f"gatelab: bad.yaml: {place}: 'mine:mine': the tower of 'a' raises ")
    assert message.endswith(", with (width=4).\n") == (widths != "4")


@pytest.mark.parametrize("which", ["", "double", "arrays"])
def test_what_is_taken(which: str, tmp_path: Path) -> None:
    code, message, out = tried("validate", which, tmp_path)
    assert code == 0, message
    assert all(line.startswith("gatelab: warning: ") for line in message.splitlines()), message
    assert "valid" in out


def test_a_network_of_what_a_split_has_left_behind_is_found(tmp_path: Path) -> None:
    """As a worker makes it, whose task has made no split."""
    code, message, _ = tried("validate", "late", tmp_path)
    assert (code, message.count("\n")) == (2, 1), message
    assert "the network raises AttributeError: 'Mine' object has no attribute 'seen'" in message
    assert f"{tmp_path / 'mine.py'}, line {line_of('return self.seen')})" in message


def test_splits_need_a_task_that_can_be_divided_anew(tmp_path: Path) -> None:
    code, message, _ = tried(
        "launch", "", tmp_path, SPEC.replace("seeds: 2", "seeds: 2, splits: 2")
    )
    assert (code, message) == (
        2,
        "gatelab: bad.yaml: evaluation.splits: must be 1 on task 'mine:mine', which takes no "
        "`split_seed` by which it could be divided anew, but got 2.\n",
    )


def test_scales_that_differ_are_a_warning(tmp_path: Path) -> None:
    code, message, out = tried("validate", "huge", tmp_path)
    message = message.partition("\n")[0]
    assert code == 0
    assert message.startswith("gatelab: warning: bad.yaml: task: 'mine:mine': the loss of target ")
    assert "'a' begins at " in message and "e+11, that of 'b' at 0.69: " in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"experts: 2": "experts: 2, width: 1000000000000"}, "model: a model takes "),
        (
            {"experts: 2": "experts: 2, width: 10000", "trials: 2": "trials: 2, seeds: 1000000"},
            "search.seeds: 1000000 models at once take ",
        ),
        (
            {"{seeds: 2": "{seeds: 1000000000000"},
            "evaluation.seeds: `seeds <= 1000000` must hold, ",
        ),
    ],
)
def test_counts_that_no_machine_holds(
    changes: Mapping[str, str], said: str, tmp_path: Path
) -> None:
    text = SPEC
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    code, message, _ = tried("launch", "", tmp_path, text)
    assert (code, message.count("\n")) == (2, 1), message
    assert f"gatelab: bad.yaml: {said}" in message


GATE = '''
from gatelab import register_gate
from gatelab.gates import SoftmaxGate


@register_gate("said")
class Said(SoftmaxGate):
    """Says something of itself."""

    diagnostics = MEANINGS

    def forward(self, x):
        routing = super().forward(x)
        found = {} if self.training else {"NAME": routing.weights.mean()}
        return routing._replace(diagnostics=found)


@register_gate("raising")
class Raising(SoftmaxGate):
    """Looks where nothing is."""

    def forward(self, x):
        return self.nothing
'''


@pytest.mark.parametrize(
    ("gate", "name", "meanings", "said"),
    [
        ("said", "load_cv2", {"load_cv2": "own"}, "'load_cv2' has the name of a metric of every"),
        ("said", "peak", {}, "diagnostic 'peak' must say in `diagnostics` of its class what it"),
        ("said", "a/b", {"a/b": "own"}, "the name of a diagnostic must be"),
        ("said", "Load_CV2", {"Load_CV2": "own"}, "'Load_CV2' has the name of a metric of every"),
        ("said", "\uff4coad_cv2", {"\uff4coad_cv2": "own"}, "has the name of a metric of every"),
        ("said", "peak", {"peak": "own", "Peak": "own"}, "'peak' and 'Peak' differ in case alone"),
    ],
)
def test_a_gate_that_cannot_be_recorded(
    gate: str, name: str, meanings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    source = GATE.replace("NAME", name).replace("MEANINGS", repr(meanings))
    spec = SPEC.replace("[softmax]", f"['mine:{gate}']")
    (tmp_path / "mine.py").write_text(MODULE + source)
    (tmp_path / "bad.yaml").write_text(spec.replace("WHICH", "''"))
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "bad.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith(f"gatelab: bad.yaml: gates.{gate}: ")
    assert said in result.stderr


APART = '''
from gatelab import register_gate
from gatelab.gates import SoftmaxGate

SHARED = nn.Parameter(torch.zeros(2))


@register_gate("apart")
class Apart(SoftmaxGate):
    """Has something that the gates of one model cannot have."""

    def place(self, target, num_targets):
        WHAT
'''


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("self.plan = torch.randn(3)", "may differ in their tensors alone, but 'plan' differs"),
        ("self.shared = SHARED", "share the parameter 'shared'"),
        (
            "next(self.parameters()).register_hook(lambda gradient: gradient)",
            "has a hook on its gradient, which is lost where modules run as one",
        ),
    ],
)
def test_gates_of_which_no_model_can_be_made_are_refused_before_anything_starts(
    what: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MODULE + APART.replace("WHAT", what))
    spec = SPEC.replace("[softmax]", "[softmax, 'mine:apart']")
    (tmp_path / "bad.yaml").write_text(spec.replace("WHICH", "''"))
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "bad.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith("gatelab: bad.yaml: gates.apart: ")
    assert said in result.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("routing.weights.mean(1)", "a scalar tensor of floats, but got (8,) torch.float32."),
        ("routing.weights.mean() > 0", "a scalar tensor of floats, but got () torch.bool."),
        ("0.5", "a scalar tensor of floats, but got 0.5."),
    ],
)
def test_a_diagnostic_that_is_no_scalar(value: str, said: str, tmp_path: Path) -> None:
    """The mean of truths over parts of a split would be of another size."""
    source = GATE.replace("NAME", "peak").replace("MEANINGS", "{'peak': 'own'}")
    (tmp_path / "mine.py").write_text(MODULE + source.replace("routing.weights.mean()", value))
    spec = SPEC.replace("[softmax]", "['mine:said']")
    (tmp_path / "bad.yaml").write_text(spec.replace("WHICH", "''"))
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "bad.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert f"gates.said: diagnostic 'peak' must be {said}" in result.stderr


def test_a_gate_that_brings_its_own_number_of_experts_is_made_with_it(tmp_path: Path) -> None:
    """``one_each`` refuses 12 targets on 4 experts; ``independent`` brings 12."""
    spec = """
name: brought
task: {name: synthetic_groups, num_targets: 12, train_rows: 32, val_rows: 16, test_rows: 16}
model: {num_experts: 4}
gates: [independent]
training: {max_epochs: 2}
search: {trials: 2}
evaluation: {seeds: 2}
"""
    (tmp_path / "brought.yaml").write_text(spec)
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "brought.yaml"])
    assert result.exit_code == 0, result.output


INDEXED = """
import torch
from torch import nn
from gatelab.tasks import Network, Split, Target, Task, register_task


@register_task("mine")
class Mine(Task):
    \"\"\"A task whose inputs are rows of a table, some of them past its end.\"\"\"

    targets = TARGETS

    def __init__(self, *, which: str = ""):
        self.which = which

    def split(self, name):
        x = torch.arange(40) % 9
        if name in self.which:
            x[31] = 9
        return Split(x[:, None], (x[:, None] % 2).float())

    def network(self):
        return Network(
            bottom=lambda: BOTTOM,
            gate_input=nn.Identity,
            gate_features=4,
            expert=lambda: nn.Linear(4, 4),
            tower=lambda target: nn.Linear(4, 1),
        )
"""
ONE = 'Target("a", "regression"),'
LOOK_UP = "nn.Sequential(nn.Embedding(9, 4), nn.Flatten())"


@pytest.mark.parametrize(
    ("which", "targets", "bottom", "said"),
    [
        ("test", ONE, LOOK_UP, "IndexError: index out of range in self for test rows"),
        ("val", ONE, LOOK_UP, "IndexError: index out of range in self for val rows"),
        (
            "train",
            ONE,
            LOOK_UP,
            "index out of range in self for train rows 0 to 39; likely cause: an id",
        ),
        ("", ONE, "None", "TypeError: the bottom must be a torch.nn.Module, but is None"),
        (
            "",
            ONE,
            "torch.relu",
            "TypeError: the bottom must be a torch.nn.Module, but is <",
        ),
        ("", '("a",)', LOOK_UP, "'mine:mine': `targets` must be a tuple of Target."),
        ("", "[]", LOOK_UP, "'mine:mine': `targets` must be a tuple of Target."),
        ("", ONE, "", "'mine:mine': the task has no method `network`."),
        ("", ONE, LOOK_UP, ""),
    ],
)
def test_what_lies_beyond_the_first_rows(
    which: str, targets: str, bottom: str, said: str, tmp_path: Path
) -> None:
    """Rows of the test split too, which an evaluation meets when the search is spent."""
    module = INDEXED.replace("TARGETS", targets).replace("BOTTOM", bottom or "nn.Identity()")
    (tmp_path / "mine.py").write_text(module if bottom else module.replace("network(", "net("))
    (tmp_path / "c.yaml").write_text(SPEC.replace("WHICH", f"'{which}'"))
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, ["validate", "c.yaml"])
    assert result.exit_code == (2 if said else 0), result.output
    lines = [line for line in result.output.splitlines() if ": warning: " not in line]
    assert said in result.output
    assert len(lines) == 1 if said else "`gatelab check task mine:mine " in lines[1]
