"""Active parameters: what runs for a row, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Gate, Routing
from gatelab.gates.usage import usage_of
from gatelab.tasks import Network, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import BY_LOSS
from gatelab.training.member import Recipe
from gatelab.training.scoring import Scoring
from gatelab.training.train import Training
from tests.broken_tasks import FEATURES, Sound
from tests.test_kinds_of_experts import Linear, member

WIDTH, HIDDEN = 6, 50
SMALL = FEATURES * WIDTH
LARGE = (FEATURES + 1) * HIDDEN + (HIDDEN + 1) * WIDTH


def _large() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WIDTH))


class Mixed(Sound):
    """Of five experts three are large and two small."""

    def network(self) -> Network:
        return replace(
            super().network(width=WIDTH), expert=_large, other_experts=(lambda: Linear(WIDTH),)
        )


class Read(Mixed):
    """Its gates read them."""

    def network(self) -> Network:
        found = super().network()
        return replace(found, gate_input=nn.Identity, gate_features=WIDTH, gate_reads_experts=True)


class Chooses(Gate):
    """Takes the last expert, and the first one too where a row's first number is above 0."""

    def forward(self, x: Tensor) -> Routing:
        first, last = (x[:, :1] > 0).float(), torch.ones(len(x), 1)
        weights = torch.cat([first, torch.zeros(len(x), self.num_experts - 2), last], 1)
        return Routing(weights / weights.sum(1, keepdim=True), weights.new_zeros(()))


def _ended(task: Task, gate: type[Gate]) -> tuple[dict[str, float], Evaluation]:
    """Return the metrics of one member on test, and what they are of."""
    training = Training(task, gate, [member(0)], Recipe(8, 1))
    training.run_epoch()
    (evaluation,) = training.evaluate_best("test")
    scoring = Scoring(task, training.model, None, BY_LOSS, 8, 1)
    ending = scoring.ending(0, training.courses[0], "test", evaluation, 1.0)
    return ending.metrics, evaluation


def test_each_expert_counts_by_its_own_size() -> None:
    """All rows run a small expert, and a share of them a large one too."""
    metrics, evaluation = _ended(Mixed(), Chooses)
    share = float((evaluation.weights > 0).any(0)[:, 0].double().mean())
    assert 0 < share < 1 and metrics["gate/experts_per_row"] == pytest.approx(1 + share)
    every = metrics["model/parameters"]
    rest = every - 3 * LARGE - 2 * SMALL
    assert metrics["model/active_parameters"] == pytest.approx(rest + SMALL + share * LARGE)


def test_where_gates_read_experts_all_of_them_run() -> None:
    metrics, _ = _ended(Read(), Chooses)
    assert metrics["gate/experts_per_row"] < 5
    assert metrics["model/active_parameters"] == metrics["model/parameters"]


def test_rows_are_counted_by_expert() -> None:
    """Two targets, three rows, two experts; of the second row no target is known."""
    weights = torch.tensor([[[1, 0], [1, 0], [0.5, 0.5]], [[0, 1], [0, 1], [1, 0]]])
    known = torch.tensor([[True, False, True], [True, False, False]])
    for apart, of_all, of_known in ((False, [3, 3], [2, 2]), (True, [4, 3], [2, 2])):
        assert usage_of(weights, None, apart=apart).runs.tolist() == of_all
        found = usage_of(weights, None, known, apart=apart)
        assert (found.runs.tolist(), float(found.rows)) == (of_known, 2)
        assert float(found.experts_per_row) == 2
