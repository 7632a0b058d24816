"""What `validate` and `launch` advise for a task of one's own: a command that runs the checks."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.task_options import task_options
from tests import in_process

MODULE = '''
import broken_networks
from gatelab.tasks import register_task


@register_task("centring")
class Centring(broken_networks.Gregarious):
    """Centres features by the batch's mean."""

    def __init__(self, *, rows: int = 24, seed: int = 0, words: object = ()) -> None:
        super().__init__(rows=rows, seed=seed)
        self.words = list(words)
'''
SPEC = """
name: c
task: TASK
model: {num_experts: 2}
gates: [softmax]
baselines: false
training: {max_epochs: 1, batch_size: 8}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""
OWN = "{name: 'advised_of:centring', rows: 30, words: [\"it's\", '12', null]}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "advised_of.py").write_text(MODULE)
    (tmp_path / "c.yaml").write_text(SPEC.replace("TASK", OWN))
    return tmp_path


def gatelab(place: Path, *words: str) -> tuple[int, str]:
    with in_process.modules_of(place):
        done = CliRunner().invoke(main, words)
    return done.exit_code, done.stdout


def test_validate_ends_with_a_command_that_finds_what_it_let_pass(place: Path) -> None:
    code, said = gatelab(place, "validate", "c.yaml")
    line = said.splitlines()[-1]
    _, command, looks = line.split("`", 2)
    assert code == 0 and looks.startswith(" looks for what trains all the same: rows that change")
    assert command.startswith("gatelab check task advised_of:centring --option rows=30 --option ")
    given = shlex.split(command)[5::2]
    assert task_options(given) == {"rows": 30, "words": ["it's", "12", None]}, "as in the spec"
    code, found = gatelab(place, *shlex.split(command)[1:])
    assert code == 1 and "FAIL  rows_are_independent: the bottom gives a row something" in found
    code, said = gatelab(place, "validate", "c.yaml", "--json")
    assert json.loads(said)["check"] == command


def test_launch_advises_it_too(place: Path) -> None:
    done = in_process.gatelab(place, "launch", "c.yaml")
    assert done.count("`gatelab check task advised_of:centring --option rows=30 --option ") == 1


def test_nothing_is_advised_for_a_task_of_ours(place: Path) -> None:
    small = "{name: synthetic_groups, train_rows: 64, val_rows: 32, test_rows: 32}"
    (place / "c.yaml").write_text(SPEC.replace("TASK", small))
    code, said = gatelab(place, "validate", "c.yaml")
    assert code == 0 and "check task" not in said
    assert json.loads(gatelab(place, "validate", "c.yaml", "--json")[1])["check"] == ""


GATE = '''
from gatelab import register_gate
from gatelab.gates import Routing, SoftmaxGate


@register_gate("over_rows")
class OverRows(SoftmaxGate):
    """Is a softmax over the rows."""

    def forward(self, x):
        routing = super().forward(x)
        return routing._replace(weights=routing.weights / routing.weights.sum(0))
'''


def test_a_gate_of_ones_own_has_its_command_once(place: Path) -> None:
    small = "{name: synthetic_groups, train_rows: 64, val_rows: 32, test_rows: 32}"
    (place / "gate_of.py").write_text(GATE)
    spec = SPEC.replace("TASK", small)
    own = "{softmax: , one: {gate: 'gate_of:over_rows'}, two: {gate: 'gate_of:over_rows'}}"
    (place / "c.yaml").write_text(spec.replace("[softmax]", own))
    code, said = gatelab(place, "validate", "c.yaml")
    command = "gatelab check gate gate_of:over_rows"
    assert code == 0 and said.count("`gatelab check ") == said.count(f"`{command}` looks for") == 1
    code, found = gatelab(place, *shlex.split(command)[1:])
    assert code == 1 and "FAIL  rows_are_independent: row 0 has other weights alone" in found
    assert in_process.gatelab(place, "launch", "c.yaml").count(f"`{command}` looks for") == 1
