"""Every gate and task in double precision, as a user has it with torch's default dtype."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from gatelab.gates import gates
from gatelab.tasks import DigitsPairs, SyntheticGroups, Task
from gatelab.tasks.metric import metrics
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

ROWS = {"train_rows": 24, "val_rows": 8, "test_rows": 8}
TASKS = [SyntheticGroups(num_targets=2, experts_per_group=1, **ROWS), DigitsPairs(**ROWS)]
PAIRS = [(n, t) for n in gates.names() for t in TASKS if n != "oracle" or t.truth is not None]


pytestmark = pytest.mark.usefixtures("float64")


def _named(value: object) -> str:
    """Return the same in every process."""
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(("name", "task"), PAIRS, ids=_named)
def test_a_training_has_no_single_precision_in_it(name: str, task: Task) -> None:
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.1}
    model = {"num_experts": 2, "expert_width": 4, "dropout": 0.1}
    member = Member(Configuration.of({}, model, optimizer), 0)
    training = Training(task, gates.get(name), [member], Recipe(24, 1))
    _, evaluation = training.run_epoch()[0]
    values = chain(training.best[0].values(), evaluation.outputs, evaluation.diagnostics.values())
    found = [evaluation.weights, evaluation.losses, training.members.flat, *values]
    real = [tensor for tensor in found if tensor.dtype != torch.int64]  # indices of experts
    assert {tensor.dtype for tensor in real} == {torch.float64}
    assert all(tensor.isfinite().all() for tensor in found)


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "r2"])
def test_metrics_tell_apart_what_single_precision_cannot(name: str) -> None:
    """Errors of a millionth beside values around 1, of which float32 would leave one digit."""
    values = torch.tensor([1.0, 1 + 4e-6, 1 - 4e-6])
    outputs = values.unsqueeze(1) + torch.tensor([[1e-6], [-1e-6], [1e-6]])
    expected = {"mse": 1e-12, "rmse": 1e-6, "mae": 1e-6, "r2": 1 - 3 / 32}
    found = metrics.get(name)().score(outputs, values)
    assert found == pytest.approx(expected[name], rel=1e-4)
