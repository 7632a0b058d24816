"""What modules that train apart share is refused: each would train a copy of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Mixture, SoftmaxGate, Stack
from gatelab.gates.check import run_checks as check_gate
from gatelab.nn.ties import same_numbers, tie
from gatelab.tasks import Network
from gatelab.tasks.check import run_checks as check_task
from gatelab.tasks.target import Target
from gatelab.training.model import Model
from tests import broken_gates, broken_tasks
from tests.broken_tasks import FEATURES, REGRESSION


class Reusing(broken_tasks.Sound):
    """The bottom's layer comes again in the tower of one target."""

    def network(self, *, width: int = 6) -> Network:
        """Make the factories."""
        made: list[nn.Module] = []

        def bottom() -> nn.Module:
            made.append(nn.Linear(FEATURES, FEATURES))
            return made[-1]

        def tower(target: Target) -> nn.Module:
            if target is not REGRESSION:
                return nn.Linear(width, target.out_features)
            return nn.Sequential(nn.Linear(width, FEATURES), made[-1], nn.Linear(FEATURES, 1))

        return replace(super().network(width=width), bottom=bottom, tower=tower)


class Returning(broken_tasks.Sound):
    """Gates read what the bottom's own layer makes of its outputs."""

    def network(self, *, width: int = 6) -> Network:
        """Make the factories."""
        made: list[nn.Module] = []

        def bottom() -> nn.Module:
            made.append(nn.Linear(FEATURES, FEATURES))
            return made[-1]

        return replace(super().network(width=width), bottom=bottom, gate_input=lambda: made[-1])


class Halved(broken_tasks.Sound):
    """All experts begin with one layer."""

    learnt = True

    def network(self, *, width: int = 6) -> Network:
        """Make the factories."""
        first = nn.Linear(FEATURES, FEATURES).requires_grad_(self.learnt)

        def expert() -> nn.Module:
            return nn.Sequential(first, nn.Tanh(), nn.Linear(FEATURES, width))

        return replace(super().network(width=width), expert=expert)


class HalvedFrozen(Halved):
    """All experts begin with one layer, which learns nothing."""

    learnt = False


class TwoKinds(Halved):
    """Experts of two kinds begin with one layer."""

    def network(self, *, width: int = 6) -> Network:
        """Make the factories."""
        network = super().network(width=width)
        return replace(network, other_experts=(lambda: network.expert(),))


def model_of(cls: type[broken_tasks.Sound], gate: type[Any] = SoftmaxGate, experts: int = 2) -> Any:
    return Model(cls(), gate, {}, {"num_experts": experts})


COMMON: list[nn.Parameter] = []


class Common(broken_gates.Sound):
    """Has one kernel in common with every gate of its size."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        if not COMMON or COMMON[0].shape != self.kernel.shape:
            COMMON[:] = [self.kernel]
        self.kernel = COMMON[0]


@pytest.mark.parametrize(
    ("cls", "gate", "said"),
    [
        (Halved, SoftmaxGate, "expert 1 and expert 2 share the parameter '0.weight', of which"),
        (TwoKinds, SoftmaxGate, "expert 1 and expert 2 share the parameter '0.weight', of which"),
        (Reusing, SoftmaxGate, "bottom and tower 3 share the parameter '1.weight', of which"),
        (broken_tasks.Sound, Common, "gate 1 and gate 2 share the parameter 'kernel', of which"),
    ],
)
def test_a_model_refuses_them_in_one_line(cls: Any, gate: type[Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        model_of(cls, gate)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cls", [broken_tasks.Sound, HalvedFrozen, Returning])
def test_what_stays_alike_may_be_shared(cls: type[broken_tasks.Sound]) -> None:
    model_of(cls)


def test_a_stack_refuses_them() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="but Sequential 1 and Sequential 3 share the parameter"):
        Stack([nn.Sequential(it) for it in (layer, nn.Linear(2, 2), layer)])
    tied = [nn.Sequential(it, it) for it in (layer, nn.Linear(2, 2))]
    assert Stack(tied).size == 2, "within a module layers may be tied"


def test_parts_by_name() -> None:
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    parts = [("a", layer), ("b", other), ("c", nn.Sequential(other, layer))]
    assert tie(parts) == "b and c share the parameter '0.weight'"
    assert tie(parts, may=("b", "c")) == "a and c share the parameter '1.weight'"
    assert tie(parts, may=("a", "b", "c")) == ""


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Reusing, f"bottom and tower of {REGRESSION.name!r} share the parameter '1.weight'"),
        (Halved, "two calls of expert share a tensor"),
    ],
)
def test_the_check_of_a_task_finds_them(cls: type[broken_tasks.Sound], said: str) -> None:
    found = {it.check: it.reason for it in check_task(cls)}["factories_make_fresh_modules"]
    assert found.startswith(said)


def test_the_check_of_a_gate_finds_them() -> None:
    found = {it.check: it.reason for it in check_gate(Common)}["gates_differ_in_tensors_alone"]
    assert found.startswith("gate 1 and gate 2 share the parameter 'kernel'")


def test_gates_of_one_mixture_share_nothing() -> None:
    gates = [Common(3, 2), Common(3, 2)]
    with pytest.raises(ValueError, match="Common 1 and Common 2 share the parameter 'kernel'"):
        Mixture(gates, [nn.Linear(3, 1), nn.Linear(3, 1)])


class Views(nn.Module):
    """A decoder whose kernel is the encoder's, turned over."""

    def __init__(self, learnt: bool = True) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(FEATURES, 3), nn.Linear(3, FEATURES)
        self.encode.requires_grad_(learnt)
        self.decode.weight = nn.Parameter(self.encode.weight.detach().T, requires_grad=learnt)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(x))  # type: ignore[no-any-return]


class Kept(nn.Linear):
    """Keeps its kernel as it starts, or so it seems."""

    def __init__(self) -> None:
        super().__init__(FEATURES, FEATURES)
        self.register_buffer("start", self.weight.detach())


class Halves(nn.Module):
    """Has two parameters that lie side by side, row by row, and end where both do."""

    def __init__(self) -> None:
        super().__init__()
        both = torch.randn(FEATURES, 2 * FEATURES)
        self.left, self.right = (nn.Parameter(half) for half in both.chunk(2, 1))
        self.none = nn.Parameter(both[:0])

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by both."""
        return x @ self.left + x @ self.right


def with_bottom(make: Callable[[], nn.Module]) -> type[broken_tasks.Sound]:
    class Own(broken_tasks.Sound):
        def network(self, *, width: int = 6) -> Network:
            return replace(super().network(width=width), bottom=make)

    return Own


class Seen(broken_gates.Sound):
    """Has a second kernel that is a view of the first."""

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        self.again = nn.Parameter(self.kernel.detach()[1:])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Views, "'encode.weight' of the bottom and 'decode.weight' of the bottom lie in the same"),
        (Kept, "'weight' of the bottom and 'start' of the bottom lie in the same numbers"),
    ],
)
def test_views_of_one_tensor_are_refused(make: Callable[[], nn.Module], said: str) -> None:
    """Torch would train them as one, and each would train apart here."""
    with pytest.raises(ValueError, match=said) as caught:
        model_of(with_bottom(make))
    assert "\n" not in str(caught.value) and "two views of one tensor" in str(caught.value)
    found = {it.check: it.reason for it in check_task(with_bottom(make))}
    assert found["network_fits"].startswith(said)


def test_views_of_one_tensor_in_gates_and_stacks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'kernel' of the gate 1 and 'again' of the gate 1 lie"):
        model_of(broken_tasks.Sound, Seen)
    with pytest.raises(ValueError, match=r"of the Views 1 and 'decode.weight' of the Views 1 lie"):
        Stack([Views(), Views()])
    found = {it.check: it.reason for it in check_gate(Seen)}["gates_differ_in_tensors_alone"]
    assert found.startswith("'kernel' of the gate 1 and 'again' of the gate 1 lie")


def test_numbers_that_lie_side_by_side_or_learn_nothing_are_no_ties() -> None:
    model_of(with_bottom(Halves))
    model_of(with_bottom(lambda: Views(learnt=False)))
    assert same_numbers([("a", Halves()), ("b", Views(learnt=False))]) == ""


def test_tensors_without_numbers_in_a_row_are_passed_over() -> None:
    """Sparse ones have no storage of their own."""
    part = nn.Linear(2, 2)
    part.register_buffer("graph", torch.eye(2).to_sparse())
    assert not same_numbers([("bottom", part)])
