"""What runs on a GPU, seen on device ``meta``: every place is right, and no step waits for it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Routing, SoftmaxGate, gates
from gatelab.gates.check.devices import Crossings, Makings
from gatelab.gates.stack import Stack
from gatelab.tasks import SyntheticGroups, Task
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.members import Members
from gatelab.training.train import Training
from tests.test_training import Tables

SYNTHETIC = SyntheticGroups(num_targets=4, num_groups=2, train_rows=64, val_rows=32, test_rows=32)


def crossings(
    gate: type[SoftmaxGate], members: int, task: Task = SYNTHETIC, **options: Any
) -> list[str]:
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.01}
    configuration = Configuration.of({}, {"num_experts": 8, **options}, optimizer)
    many = [Member(configuration, seed) for seed in range(members)]
    training = Training(task, gate, many, Recipe(16, 10), "meta")
    training.model.train()
    training.loop.begin_pass(0)
    training.loop.step(16)  # what is put there once
    with Crossings() as seen, Makings(seen.found):
        training.loop.step(16)
    return seen.found


@pytest.mark.parametrize("name", gates.names())
@pytest.mark.parametrize("members", [1, 3])
def test_a_step_copies_nothing_and_waits_for_nothing(name: str, members: int) -> None:
    assert crossings(gates.get(name), members) == []


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_tables_are_no_reason_to_wait(members: int, sparse: bool) -> None:
    """Also with sparse gradients, whose size would have to be waited for."""
    assert crossings(SoftmaxGate, members, Tables(), sparse=sparse) == []


class Copying(SoftmaxGate):
    """Brings a tensor from the host in each forward pass."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.aux_loss + torch.ones(1).to(x.device).sum())


class Making(SoftmaxGate):
    """Makes a tensor of numbers in each forward pass."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.aux_loss + x.new_tensor([0.1, 0.2]).sum())


class Listing(SoftmaxGate):
    """Indexes by a list of numbers in each forward pass."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.aux_loss + x[:, [1, 0]].sum())


@pytest.mark.parametrize(
    ("gate", "seen"),
    [(Copying, "to"), (Making, "new_tensor"), (Listing, "indexing by a list")],
)
def test_one_that_copies_is_seen(gate: type[SoftmaxGate], seen: str) -> None:
    assert set(crossings(gate, 1)) == {seen}


def test_members_are_stacked_on_their_device_whoever_made_them() -> None:
    """Tensors of two devices cannot be stacked: as on a GPU with two seeds or more."""
    models = [nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False))] * 2
    members = Members(models, "meta")
    places = [members.flat, *members.buffers.values(), *members.skeleton.parameters()]
    assert {tensor.device.type for tensor in places} == {"meta"}
    assert len(members) == 2


class LaidOut(nn.GRU):
    """Lays its weights out where cuDNN is on, as on a GPU: all of them are matrices and vectors."""

    def flatten_parameters(self) -> None:
        if torch.backends.cudnn.enabled and any(it.dim() > 2 for it in self._flat_weights):
            raise RuntimeError("a weight of another shape")


class Last(nn.Module):
    """Gives what a recurrent layer says last."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = LaidOut(1, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.unsqueeze(-1))[0][:, -1]
        return found


def test_recurrent_layers_of_a_stack_are_moved_to_a_gpu() -> None:
    """As one that cuDNN would lay out anew, it could not be."""
    stack = Stack([Last(), Last()])
    assert torch.backends.cudnn.enabled
    with pytest.raises(RuntimeError, match="shape"):
        copy.deepcopy(stack).to("meta")
    assert Members([stack], "meta").flat.device.type == "meta"
    assert torch.backends.cudnn.enabled
