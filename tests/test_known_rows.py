"""Where a target is known for some rows only, its gate learns from these alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import BiasBalancedTopKGate, Mixture, ReLUGate, Routing, SoftmaxGate
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate
from gatelab.gates.known_rows import stand_ins
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.scaled import BATCH, Scaled, member

YES, NO = True, False


def test_known_rows_stand_in_for_the_others_in_turn() -> None:
    known = torch.tensor(
        [[YES, NO, YES, NO, NO], [NO, NO, NO, YES, NO], [YES] * 5, [NO] * 5, [NO, YES, YES, NO, NO]]
    )
    assert stand_ins(known).tolist() == [
        [0, 0, 2, 2, 0],
        [3, 3, 3, 3, 3],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [1, 1, 2, 2, 1],
    ]


def test_it_is_known_rows_whatever_the_mask_and_members_do_not_meet() -> None:
    known = torch.rand(3, 4, 50, generator=torch.Generator().manual_seed(0)) < 0.4
    found = torch.vmap(stand_ins)(known)
    for mine, rows in zip(known, found, strict=True):
        assert torch.equal(rows, stand_ins(mine))
        assert mine.gather(1, rows).all()
        assert (rows == torch.arange(50))[mine].all(), "known rows stand for themselves"
        counts = [torch.bincount(r, minlength=50)[k] for r, k in zip(rows, mine, strict=True)]
        assert all(c.max() - c.min() <= 1 for c in counts), "each as often as the others"


class MeanGate(Gate):
    """Its aux loss is the mean of its input."""

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return Routing(x.new_ones(len(x), 1), x.mean())


def test_aux_losses_are_of_known_rows() -> None:
    mixture = Mixture([MeanGate(1, 1) for _ in range(3)], [nn.Identity()])
    x = torch.tensor([[1.0], [2.0], [30.0], [40.0]])
    known = torch.tensor([[YES, YES, NO, NO], [YES] * 4, [NO] * 4])
    mixed, routing = mixture(x, x, known)
    assert routing.aux_loss.tolist() == [1.5, 73 / 4, 0], "nothing to learn, and no loss"
    assert torch.equal(mixed[known], mixture(x, x)[0][known])


@pytest.mark.parametrize("hyperparameters", [{"balance_weight": 1.0}, {"z_weight": 1.0}])
def test_losses_of_any_gate_are_of_known_rows(hyperparameters: dict[str, float]) -> None:
    torch.manual_seed(0)
    gate = make_gate(SoftmaxGate, 3, 4, **hyperparameters)
    mixture, x = Mixture([gate], [nn.Identity() for _ in range(4)]), torch.randn(8, 3)
    known = torch.tensor([[YES, NO] * 4])
    found, alone = mixture(x, x, known)[1], mixture(x[::2], x[::2])[1]
    torch.testing.assert_close(found.aux_loss, alone.aux_loss)
    assert not torch.isclose(found.aux_loss, mixture(x, x)[1].aux_loss)


def test_a_masked_task_trains_its_gates_on_known_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the training that is, not of the mixture alone: the mask goes all the way."""
    seen: list[Tensor] = []
    plain = Mixture.forward

    def watched(self: Mixture, features: Tensor, gate_input: Tensor, known: Tensor | None = None):  # type: ignore[no-untyped-def]
        if self.training and known is not None:
            seen.append(known)
        return plain(self, features, gate_input, known)

    monkeypatch.setattr(Mixture, "forward", watched)
    Training(Scaled(), SoftmaxGate, [member(static=True)], Recipe(BATCH, 1)).run_epoch()
    assert seen and all(known.shape[0] == 2 for known in seen)


class Counting(Gate):
    """Counts rows by expert, cools down, and has a buffer that does both."""

    load: Tensor
    temperature: Tensor
    both: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("load", torch.zeros(num_experts))
        self.register_hyperparameters(temperature=1.0, both=1.0)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return Routing(x.softmax(-1), x.new_zeros(()))

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return the next load, changed in place, and what follows progress."""
        load = torch.zeros_like(routing.weights[0])
        load += (routing.weights > 0.5).to(load.dtype).sum(0)
        temperature = (1 - progress).to(routing.weights)
        return {"load": load, "temperature": temperature, "both": load.max() * progress}


@pytest.mark.parametrize("fused", [True, False])
def test_without_a_known_row_buffers_follow_progress_alone(fused: bool) -> None:
    mixture = Mixture([make_gate(Counting, 2, 2) for _ in range(2)], [nn.Identity()] * 2)
    mixture.gates.fused = fused
    x = torch.tensor([[5.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    known = torch.tensor([[YES, YES, NO], [NO, NO, NO]])
    _, routing = mixture(x, x, known)
    after = mixture.next_buffers(routing, torch.tensor(0.25), known)
    assert {name.removeprefix("gates.each."): value.tolist() for name, value in after.items()} == {
        "load": [[3.0, 0.0], [0.0, 0.0]],
        "temperature": [0.75, 0.75],
        "both": [0.75, 1.0],
    }


class Sparse(SyntheticGroups):
    """The second target is known of three rows of train; the others are shifted."""

    def __init__(self, shift: float) -> None:
        super().__init__(num_targets=2, train_rows=96, val_rows=32, test_rows=16)
        self.shift = shift

    def split(self, name):  # type: ignore[no-untyped-def]
        """Return a split."""
        inputs, targets, *_ = super().split(name)
        known = torch.arange(len(inputs)) < 3
        mask = torch.stack([torch.ones_like(known), known], 1)
        return torch.where(known[:, None], inputs, inputs + self.shift), targets, mask


STILL = {"name": "adam", "learning_rate": 1e-30, "weight_decay": 0.0}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize(
    ("gate", "options", "buffer"),
    [
        (BiasBalancedTopKGate, {"k": 1, "update_rate": 0.1}, "bias"),
        (ReLUGate, {"k": 1, "l1_weight": 0.01}, "l1_weight"),
        (BiasBalancedTopKGate, {"k": 1, "update_rate": 0.1, "balance_weight": 0.1}, "gate.bias"),
    ],
)
def test_rows_that_are_not_known_move_no_state_of_a_gate(
    gate: type[Gate], options: dict[str, float], buffer: str, seeds: tuple[int, ...]
) -> None:
    """Nothing learns, so that inputs of unknown rows could reach the buffer in no other way."""
    made = Configuration.of(options, {"num_experts": 3}, STILL)
    found, name = [], f"mixture.gates.each.{buffer}"
    for shift in (0.0, 3.0):
        training = Training(Sparse(shift), gate, [Member(made, s) for s in seeds], Recipe(8, 2))
        start = training.copies.state(training.members, 0)[name]
        training.run_epoch()
        found.append(training.copies.state(training.members, 0)[name])
    assert not torch.equal(found[0], start), "known rows move it"
    assert torch.equal(found[0][1], found[1][1])


def test_fused_members_are_as_alone_where_rows_are_masked() -> None:
    class Masked(SyntheticGroups):
        """Every other target of a row is not known."""

        def split(self, name):  # type: ignore[no-untyped-def]
            inputs, targets, *_ = super().split(name)
            mask = (torch.arange(len(inputs))[:, None] + torch.arange(targets.shape[1])) % 2 == 0
            return inputs.double(), targets.double(), mask

    torch.set_default_dtype(torch.float64)
    try:
        task = Masked(num_targets=4, num_groups=2, train_rows=64, val_rows=16, test_rows=16)
        options = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
        made = Configuration.of({"balance_weight": 0.1}, {"num_experts": 3}, options)
        members = [Member(made, seed) for seed in (0, 1)]
        both = Training(task, SoftmaxGate, members, Recipe(16, 2))
        assert both.notes == []
        alone = Training(task, SoftmaxGate, members[1:], Recipe(16, 2))
        for _ in range(2):
            found, expected = both.run_epoch()[1], alone.run_epoch()[0]
        assert found[1].loss == pytest.approx(expected[1].loss, rel=1e-9)
    finally:
        torch.set_default_dtype(torch.float32)
