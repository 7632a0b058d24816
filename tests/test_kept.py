"""What a network keeps in a pass: in place it stays, all else is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import SoftmaxGate
from gatelab.gates.stack import Stack
from gatelab.nn.kept import lost_by_a_pass
from gatelab.training.train import Training
from tests.in_process import gatelab
from tests.odd_layers import WIDTH, Linear
from tests.test_rehearsal import RECIPE, Odd, member

SPEC = """
name: c
task: {name: 'mine:mine', bottom: BOTTOM}
model: {num_experts: 2}
gates: [GATE]
baselines: false
training: {max_epochs: 2, batch_size: 3}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
"""
MODULE = '''
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from gatelab.gates import SoftmaxGate, register_gate
from gatelab.tasks import Network, SyntheticGroups, register_task


class Counts(nn.Linear):
    count = 0

    def forward(self, x):
        self.count += 1
        return super().forward(x) / self.count


class Replaces(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        y = super().forward(x)
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return y - self.mean


class Sets(nn.Linear):
    """Keeps what is no number, or is the same from the first pass on."""

    def forward(self, x):
        self.width, self.last = x.shape[1], x.detach()
        return super().forward(x)


class Double(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes, dtype=torch.float64)

    def forward(self, x):
        return super().forward(x.double()).float()


class Recomputes(nn.Sequential):
    def __init__(self, *sizes):
        super().__init__(nn.Linear(*sizes), nn.ReLU())

    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)


class Lazy(nn.Sequential):
    def __init__(self, *sizes):
        super().__init__(nn.LazyLinear(8))


@register_gate("counting")
class Counting(SoftmaxGate):
    """Counts its passes."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        return super().forward(x)


@register_task("mine")
class Mine(SyntheticGroups):
    """A task whose bottom keeps something."""

    def __init__(self, *, bottom: str = "Sets"):
        super().__init__(num_targets=2, in_features=8, train_rows=64, val_rows=32, test_rows=32)
        self.bottom = bottom

    def network(self):
        return Network(
            bottom=lambda: globals()[self.bottom](8, 8),
            gate_input=nn.Identity,
            gate_features=8,
            expert=lambda: nn.Linear(8, 8),
            tower=lambda target: nn.Linear(8, 1),
        )
'''


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bottom", "gate", "said"),
    [
        ("Counts", "softmax", "'mine:mine': a pass changes 'count' of the bottom from"),
        ("Replaces", "softmax", "'mine:mine': a pass replaces the buffer 'mean' of the bottom;"),
        (
            "Double",
            "softmax",
            "all that a model learns is torch.float32, but 'weight' of",
        ),
        ("Lazy", "softmax", "'mine:mine': the bottom has a lazy layer, whose size nobody knows"),
        (
            "Recomputes",
            "softmax",
            "'mine:mine': '0.weight' of the bottom has another gradient w",
        ),
        ("Sets", "'mine:counting'", "gates.counting: a pass changes 'passes' of the gate"),
        ("Sets", "softmax", ""),
    ],
)
def test_what_is_said(bottom: str, gate: str, said: str, place: Path) -> None:
    (place / "mine.py").write_text(MODULE)
    (place / "c.yaml").write_text(SPEC.replace("BOTTOM", bottom).replace("GATE", gate))
    output = gatelab(place, "validate", "c.yaml", code=2 if said else 0)
    advice = 0 if said else 1  # the checks, which is the last line of what is valid
    assert said in output and output.count("\n") == 1 + advice


class Mean(Linear):
    """Keeps a running mean in place."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(WIDTH))

    def odd(self, y: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.5).add_(y.detach().mean(0))
        return y - self.mean


def test_what_is_kept_in_place_stays() -> None:
    """Of each member its own, and none of the rehearsal's."""
    assert (
        lost_by_a_pass({"bottom": (bottom := Mean())}, lambda: bottom(torch.ones(4, WIDTH))) == ""
    )
    kept = []
    for seeds in ([0, 1], [0], [1]):
        training = Training(Odd(bottom=Mean), SoftmaxGate, [member(s) for s in seeds], RECIPE)
        assert not training.members.buffers["bottom.mean"].any()
        training.run_epoch()
        kept += list(training.members.buffers["bottom.mean"])
    assert kept[0].any()
    torch.testing.assert_close(kept[0], kept[2], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(kept[1], kept[3], rtol=1e-4, atol=1e-6)


class Tied(nn.Module):
    """Two layers that share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())  # type: ignore[no-any-return]


@pytest.mark.parametrize("fused", [True, False])
def test_stacked_modules_whose_layers_share_a_tensor(fused: bool) -> None:
    modules, x = [Tied() for _ in range(3)], torch.randn(5, WIDTH)
    stack = Stack(modules)
    stack.fused = fused
    torch.testing.assert_close(stack(x), torch.stack([module(x) for module in modules]))
    stack(x).sum().backward()
    for index, module in enumerate(modules):
        module(x).sum().backward()
        gradient = stack.each.first.weight.grad[index]  # type: ignore[index, union-attr]
        torch.testing.assert_close(gradient, module.first.weight.grad)


def test_members_whose_experts_share_a_tensor() -> None:
    together = Training(Odd(expert=Tied), SoftmaxGate, [member(0), member(1)], RECIPE)
    together.run_epoch()
    state = together.members.state(0)
    assert not [name for name in state if "second.weight" in name]
    assert together.notes == []
