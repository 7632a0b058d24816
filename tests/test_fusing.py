"""Gates and experts that cannot run as one, seen in their gradients alone or in other numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function

from gatelab.gates import SoftmaxGate
from gatelab.gates.gate import Routing
from gatelab.training.train import Training
from tests.odd_layers import WIDTH, Cast, Linear
from tests.test_rehearsal import RECIPE, Odd, member, same_as_alone, trained

KERNEL = "mixture.gates.each.logits.kernel"


class OddGate(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        weights = self.odd(self.logits(x)).softmax(-1)
        return Routing(weights, weights.new_zeros(()))

    def odd(self, logits: Tensor) -> Tensor:
        raise NotImplementedError


class Hooked(OddGate):
    """Scales the gradient of its logits by a hook on them."""

    scale = 0.0

    def odd(self, logits: Tensor) -> Tensor:
        if logits.requires_grad:
            logits.register_hook(lambda gradient: gradient * self.scale)
        return logits


class Clipped(Hooked):
    """Changes nothing as long as gradients are small."""

    scale = 1.0


class Shortened(Function):
    """Looks at gradients in Python."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        norm = gradient.norm()
        return gradient / norm if norm > 1e-3 else gradient


class Shortening(OddGate):
    def odd(self, logits: Tensor) -> Tensor:
        return shortened(logits)


class Short(Linear):
    def odd(self, y: Tensor) -> Tensor:
        return shortened(y)


class Held(Linear):
    """Lets no gradient through, by a hook."""

    def odd(self, y: Tensor) -> Tensor:
        if y.requires_grad:
            y.register_hook(lambda gradient: gradient * 0)
        return y.relu()


class Late(SoftmaxGate):
    """Makes its parameter in its first forward."""

    def forward(self, x: Tensor) -> Routing:
        if not hasattr(self, "kernel"):
            self.kernel = nn.Parameter(torch.zeros(x.shape[-1], self.num_experts))
        return super().forward(x + 0 * self.kernel.sum())


def shortened(y: Tensor) -> Tensor:
    return Shortened.apply(y)  # type: ignore[no-any-return, no-untyped-call]


def experts(layer: type[nn.Module]) -> Odd:
    return Odd(expert=lambda: nn.Sequential(layer(), nn.Linear(WIDTH, WIDTH)))


def fused(training: Training) -> dict[str, bool]:
    mixture = training.model.mixture
    return {"gates": mixture.gates.fused, "experts": mixture.experts.fused}


@pytest.mark.parametrize("count", [1, 2])
def test_a_hook_on_a_tensor_of_a_gate_or_expert_is_called(count: int) -> None:
    for task, gate, name, note in (
        (Odd(), Hooked, KERNEL, "gates (Hooked) cannot be fused"),
        (experts(Held), SoftmaxGate, "mixture.experts.each.0.linear.weight", "experts (Sequent"),
    ):
        started = Training(task, gate, [member(s) for s in range(count)], RECIPE).best
        training = trained(task, list(range(count)), gate)
        for before, after in zip(started, training.best, strict=True):
            assert torch.equal(before[name], after[name])
        first, *others = training.notes
        assert first.startswith(note) and "a hook on the gradient" in first
        assert len(others) == count - 1 and all("the model gives other" in it for it in others)


def test_a_hook_that_does_nothing_yet_is_met() -> None:
    (note,) = trained(Odd(), [0], Clipped).notes
    assert note.startswith("gates (Clipped) cannot be fused")


def test_an_expert_that_gives_other_numbers_under_vmap_is_noticed() -> None:
    training = trained(experts(Cast), [0])
    (note,) = training.notes
    assert note.startswith("experts (Sequential)") and "other numbers fused than alone" in note
    assert fused(training) == {"gates": True, "experts": False}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("part", ["gates", "experts"])
def test_what_raises_on_the_way_back_is_called_one_by_one(part: str) -> None:
    task, gate = (Odd(), Shortening) if part == "gates" else (experts(Short), SoftmaxGate)
    (note,) = trained(task, [0], gate).notes
    assert note.startswith(part) and "modules are called one by one" in note
    assert fused(Training(task, gate, [member()], RECIPE)) == {
        name: name != part for name in ("gates", "experts")
    }
    assert any(it == note for it in same_as_alone(task, gate))


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_forward_makes_is_refused(count: int) -> None:
    """It was no member's, and learnt nothing without a word."""
    with pytest.raises(ValueError, match=r"`__init__`.* 'mixture.gates.kernel' is made in a forw"):
        Training(Odd(), Late, [member(seed) for seed in range(count)], RECIPE)
