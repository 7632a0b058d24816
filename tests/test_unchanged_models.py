"""A model that is made again: refused where data or code are others than those it learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelab.sweeps.export.export import export
from gatelab.sweeps.export.selected import read_selected
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab, modules_of

pytestmark = [
    pytest.mark.slow,
    # MLflow warns of its own type hints when its pyfunc is first imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]
MODULE = """
from pathlib import Path

import torch
from torch import nn

from gatelab import Network, Split, Target, Task, register_task

FACTOR = 1.0


class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(FACTOR * x)


@register_task("mine")
class Mine(Task):
    "A price and whether it is sold, both unknown in some rows."

    targets = (Target("price", "regression", scale=5e5, offset=2e6), Target("sold", "binary"))

    def split(self, name):
        lines = Path("rows.txt").read_text().splitlines()
        rows = torch.tensor([[float(it) for it in line.split()] for line in lines])
        rows = rows[{"train": slice(120), "val": slice(120, 160), "test": slice(160, 200)}[name]]
        known = rows[:, 2:] != 9
        return Split(rows[:, :2], rows[:, 2:].masked_fill(~known, torch.nan), known)

    def network(self):
        return Network(
            bottom=nn.Identity,
            gate_input=nn.Identity,
            gate_features=2,
            expert=lambda: Scaled(2, 3),
            tower=lambda target: nn.Linear(3, target.out_features),
        )
"""
SPEC = """
name: NAME
task: {TASK}
model: {num_experts: 3}
gates: {GATES}
baselines: false
training: {max_epochs: 3, batch_size: 32}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2, splits: SPLITS}
"""


def launch(place: Path, name: str, task: str, gates: str = "softmax: ", splits: int = 1) -> None:
    given = {"NAME": name, "TASK": task, "GATES": gates, "SPLITS": str(splits)}
    spec = SPEC
    for word, value in given.items():
        spec = spec.replace(word, value)
    (place / f"{name}.yaml").write_text(spec)
    gatelab(place, "launch", f"{name}.yaml")


def rows(factor: float) -> str:
    lines = ((n % 7, n % 5, n % 3, 9 if n % 10 == 0 else n % 2) for n in range(200))
    return "\n".join(f"{factor * a} {b} {c} {d}" for a, b, c, d in lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    (place / "mine.py").write_text(MODULE)
    (place / "rows.txt").write_text(rows(1))
    launch(place, "own", 'name: "mine:mine"')
    return place


@pytest.fixture
def own(finished: Path) -> Iterator[Path]:
    """Where the sweep is, whose data and module are afterwards what they were."""
    yield finished
    (finished / "mine.py").write_text(MODULE)
    (finished / "rows.txt").write_text(rows(1))


def exported(place: Path) -> float:
    with modules_of(place):
        return export("own", folder=place / FOLDER).test_loss


def test_data_that_are_others(own: Path) -> None:
    assert exported(own) > 0
    (own / "rows.txt").write_text(rows(10))
    with pytest.raises(ValueError, match="the task is another than the one it was trained on: its"):
        exported(own)


def test_code_that_is_another(own: Path) -> None:
    (own / "mine.py").write_text(MODULE.replace("FACTOR = 1.0", "FACTOR = 30.0"))
    with pytest.raises(ValueError, match="its val/loss is .* here, but .* is recorded: the code"):
        exported(own)


def test_what_is_made_again_has_the_loss_of_every_learner(tmp_path: Path) -> None:
    """Also where targets have models of their own, and where rows are divided several times."""
    gates = """
      joint: {gate: top_k, k: 2},
      agents: {gate: top_k, k: 2, learner: {name: gossip, graph: ring}},
      pulled: {gate: softmax, learner: {name: mean_regularized, pull: 0.1}},
      adapted: {gate: softmax, learner: {name: anil, inner_steps: 2, inner_rate: 0.1}},
      noisy: {gate: noisy_top_k, k: 1},
      none: {gate: random_k, k: 1}"""
    task = "name: synthetic_groups, num_targets: 3, train_rows: 96, val_rows: 48, test_rows: 48"
    launch(tmp_path, "many", task, gates, splits=2)
    record = read_sweep(default_uri(tmp_path / FOLDER), "many")
    for gate in ("joint", "agents", "pulled", "adapted", "noisy", "none"):
        assert read_selected(record, gate, tmp_path / FOLDER).models
