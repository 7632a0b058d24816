"""The meta-gradient of ANIL: by a closed recursion, by autograd, and by finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import Function
from torch.func import functional_call

from gatelab.gates import Gate, Routing, SoftmaxGate, gates
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.test_anil import Tensors, meta
from tests.test_gossip import GROUPS, SHARED

pytestmark = pytest.mark.usefixtures("float64")
BATCH = 24


class Course:
    """The first batch of a member, and its loss written out again, for gradients by hand."""

    def __init__(self, gate: type[Gate] = SoftmaxGate, **options: Any) -> None:
        self.rate = options.get("inner_rate", 0.2)
        chosen = {"inner_steps": 3, "inner_rate": self.rate, "experts": 4, **options}
        self.training = Training(GROUPS, gate, [meta(3, **chosen)], Recipe(BATCH, 1))
        self.members, self.split = self.training.members, self.training.split("train")
        self.all = self.members.state(0)
        self.learnt = {n: self.all[n].clone().requires_grad_() for n in self.members.shapes}
        everything = options.get("adapts") == "all"
        self.own = [n for n in self.learnt if everything or not n.startswith(SHARED)]
        self.rest = [n for n in self.learnt if n not in self.own]

    def gradient(self) -> Tensors:
        """Return what the loop computes, by name."""
        *_, found = self.training.loop.rehearse(BATCH)
        self.members.flat.grad = None
        return {name: it[0] for name, it in self._apart(found).items()}

    def _apart(self, rows: Tensor) -> Tensors:
        sizes = [shape.numel() for shape in self.members.shapes.values()]
        parts = zip(self.members.shapes.items(), rows.split(sizes, dim=1), strict=True)
        return {name: part.view(-1, *shape) for (name, shape), part in parts}

    def loss(self, tensors: Tensors, rows: slice) -> Tensor:
        model = self.training.model.train()
        output = functional_call(model, {**self.all, **tensors}, (self.split.inputs[rows],))
        errors = torch.cat(output.groups)[..., 0] - self.split.targets[rows].mT
        return errors.square().mean(1).sum()

    def support(self, tensors: Tensors) -> Tensor:
        return self.loss(tensors, slice(0, BATCH // 2))

    def query(self, tensors: Tensors) -> Tensor:
        return self.loss(tensors, slice(BATCH // 2, BATCH))

    def slopes(self, loss: Tensor, at: Tensors, names: list[str], **more: Any) -> list[Tensor]:
        found = torch.autograd.grad(loss, [at[name] for name in names], allow_unused=True, **more)
        return [
            torch.zeros_like(at[n]) if it is None else it
            for n, it in zip(names, found, strict=True)
        ]

    def path(self) -> list[Tensors]:
        """Return all tensors before each inner step and after the last, each a leaf."""
        path = [self.learnt]
        for _ in range(3):
            now = path[-1]
            moves = dict(zip(self.own, self.slopes(self.support(now), now, self.own), strict=True))
            after = {n: (t - self.rate * moves[n]) if n in moves else t for n, t in now.items()}
            path.append({n: t.detach().requires_grad_() for n, t in after.items()})
        return path

    def closed(self, *, first_order: bool = False) -> Tensors:
        """Return the meta-gradient by its recursion backwards over the inner steps."""
        *path, last = self.path()
        loss = self.query(last)
        v = self.slopes(loss, last, self.own, retain_graph=True)
        total = self.slopes(loss, last, self.rest) if self.rest else []
        for now in [] if first_order else reversed(path):
            slopes = self.slopes(self.support(now), now, self.own, create_graph=True)
            along = sum((s * each).sum() for s, each in zip(slopes, v, strict=True))
            both = self.slopes(along, now, self.own + self.rest)
            v = [each - self.rate * it for each, it in zip(v, both[: len(v)], strict=True)]
            total = [g - self.rate * it for g, it in zip(total, both[len(v) :], strict=True)]
        return dict(zip(self.own + self.rest, (*v, *total), strict=True))

    def by_autograd(self) -> Tensors:
        """Return it by one gradient through all steps."""
        now = self.learnt
        for _ in range(3):
            moves = self.slopes(self.support(now), now, self.own, create_graph=True)
            steps = dict(zip(self.own, moves, strict=True))
            now = {n: (t - self.rate * steps[n]) if n in steps else t for n, t in now.items()}
        names = self.own + self.rest
        return dict(zip(names, self.slopes(self.query(now), self.learnt, names), strict=True))


def near(found: Tensors, expected: Tensors, tolerance: float = 1e-12) -> bool:
    assert found.keys() == expected.keys()
    return all(torch.allclose(found[n], expected[n], rtol=0, atol=tolerance) for n in found)


@pytest.mark.parametrize("adapts", ["head", "all"])
def test_the_meta_gradient_three_ways(adapts: str) -> None:
    """As the loop has it, by the closed recursion, and by autograd: of all, that is MAML's."""
    course = Course(adapts=adapts)
    found = course.gradient()
    assert bool(course.rest) == (adapts == "head")
    assert near(found, course.closed())
    assert near(found, course.by_autograd())


@pytest.mark.parametrize("adapts", ["head", "all"])
def test_first_order_is_another_gradient(adapts: str) -> None:
    """That of the end of the path alone."""
    course = Course(adapts=adapts, first_order=True)
    found = course.gradient()
    assert near(found, course.closed(first_order=True))
    full = course.closed()
    assert not near(found, full, 1e-3)


TWO = SyntheticGroups(num_targets=2, experts_per_group=1, train_rows=32, val_rows=8, test_rows=8)
TRAINED = [name for name in gates.names() if gates.get(name).trained]


@pytest.mark.parametrize("name", TRAINED)
def test_gates_can_be_differentiated_twice(name: str) -> None:
    """But LapSum, whose gradient is written down as a constant of the step."""
    found = Training(TWO, gates.get(name), [meta(inner_rate=0.3, experts=4)], Recipe(32, 1))
    (said,) = found.notes or [""]
    assert bool(said) == (name == "lapsum")
    if said:
        assert said.startswith("the gradient through inner steps is off by 0.0")
        assert "for mixture.gates: an operation" in said and "`first_order: true`" in said
    more = {"first_order": True} if said else {"inner_steps": 0}
    assert not Training(TWO, gates.get(name), [meta(experts=4, **more)], Recipe(32, 1)).notes


class Once(Function):
    """Has a backward that no gradient goes through, and says so by no error."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return (gradient * output).detach()


class OnceGate(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        found = super().forward(x)
        return found._replace(weights=Once.apply(found.weights))


class RootGate(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        found = super().forward(x)
        above = found.weights - found.weights.amin(-1, keepdim=True)
        return found._replace(weights=above.pow(1.5))  # whose second derivative at 0 is infinite


@pytest.mark.parametrize("weights", [None, (2.0, 1.0)], ids=["", "targets weighted"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize(("gate", "how"), [(OnceGate, "off by "), (RootGate, "not finite ")])
def test_what_cannot_is_said(
    gate: type[Gate], how: str, precision: torch.dtype, weights: tuple[float, float] | None
) -> None:
    torch.set_default_dtype(precision)
    member = meta(experts=4)
    if weights:
        names = [f"training.target_weights.{target.name}" for target in TWO.targets]
        own = dict(zip(names, weights, strict=True))
        member = Member(Configuration({**member.configuration.values, **own}), member.seed)
    training = Training(TWO, gate, [member], Recipe(32, 1))
    (said,) = training.notes
    assert said.startswith(f"the gradient through inner steps is {how}")
    assert torch.get_default_dtype() == precision
    assert training.members.flat.grad is None


def test_steps_that_leave_all_numbers_say_nothing_of_operations() -> None:
    training = Training(TWO, SoftmaxGate, [meta(experts=4, inner_rate=1e200)], Recipe(32, 1))
    assert not training.notes
