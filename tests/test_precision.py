"""The precision of products: bf16 where it is said, inside vmap too, and float32 all around."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from gatelab.gates import Routing, SoftmaxGate
from gatelab.gates.randomness import Randomness
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.learners import Learner, learners
from gatelab.training.member import Member, Recipe
from gatelab.training.members import Members
from gatelab.training.passage import seed_key
from gatelab.training.precision import NO_TF32, Precision, ShortProducts, precise
from gatelab.training.train import Training
from tests.commands import ROOT
from tests.scaled import Scaled

SHORT = Recipe(16, 2)


class Seen(TorchFunctionMode):
    """Notes the types of what products are of; it lies beneath the mode that is tried."""

    def __init__(self) -> None:
        super().__init__()
        self.linear: list[torch.dtype] = []
        self.other: list[torch.dtype] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function is nn.functional.linear:
            self.linear.append(args[0].dtype)
        elif function in (Tensor.matmul, Tensor.__matmul__):
            self.other.append(args[0].dtype)
        return function(*args, **(kwargs or {}))


class Product(nn.Module):
    """One product."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ x.mT


class Both(nn.Module):
    """Two products, one of which is to be left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.exact = Product()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.exact(x), x @ x.mT


def member(seed: int = 0, rate: float = 0.05) -> Member:
    optimizer = {"name": "adam", "learning_rate": rate, "weight_decay": 0.0}
    return Member(Configuration.of({}, {"num_experts": 3}, optimizer), seed)


def training(precision: Precision, members: int = 2, epochs: int = 4) -> Training:
    recipe = Recipe(16, epochs, None, precision)
    return Training(Scaled(), SoftmaxGate, [member(seed) for seed in range(members)], recipe)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_experts_run_in_it_and_gates_do_not(
    precision: Precision, dtype: torch.dtype, fused: bool
) -> None:
    made = training(precision)
    made.members.fused = fused
    with Seen() as seen:
        made.run_epoch()
    assert dtype in seen.linear
    assert seen.other
    assert set(seen.other) == {torch.float32}  # the gates'
    assert made.members.flat.dtype == torch.float32


def test_it_reaches_what_is_vmapped() -> None:
    layer = nn.Linear(3, 4, bias=False)
    weights = torch.stack([layer.weight.detach()] * 2).requires_grad_()
    x = torch.randn(2, 5, 3)

    def call(x: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = functional_call(layer, {"weight": weight}, (x,))
        return found

    with precise("bf16", torch.device("cpu"), layer, Product()):
        found = torch.vmap(call)(x, weights)
    found.sum().backward()
    rounded = torch.stack([a.bfloat16() @ w.bfloat16().mT for a, w in zip(x, weights, strict=True)])
    assert found.dtype == torch.float32
    assert torch.allclose(found, rounded.float(), rtol=1e-2, atol=1e-2)
    assert not torch.equal(found, torch.vmap(call)(x, weights))
    assert weights.grad is not None
    assert weights.grad.dtype == torch.float32


def test_what_is_left_alone() -> None:
    both, x = Both(), torch.randn(5, 3)
    with ShortProducts(both, both.exact):
        exact, short = both(x)
        outside = x @ x.mT
    assert torch.equal(exact, x @ x.mT)
    assert torch.equal(outside, x @ x.mT)
    assert torch.equal(short, (x.bfloat16() @ x.bfloat16().mT).float())
    assert not any((both._forward_hooks, both._forward_pre_hooks, both.exact._forward_hooks))


def test_double_precision_is_left_alone() -> None:
    both, x = Both(), torch.randn(5, 3, dtype=torch.float64)
    with ShortProducts(both, both.exact):
        _, found = both(x)
    assert torch.equal(found, x @ x.mT)


def losses(made: Training) -> Iterator[float]:
    while not made.done:
        yield from (loss for loss, _ in made.run_epoch().values())


def test_a_training_comes_out_nearly_as_in_float32() -> None:
    exact, short = (list(losses(training(p))) for p in ("float32", "bf16"))
    assert short == pytest.approx(exact, rel=0.05)
    assert short != exact


def test_a_members_course_is_its_own() -> None:
    """Bit-equal beside another with another rate."""
    recipe = Recipe(16, 2, None, "bf16")
    flats = []
    for rate in (0.05, 0.5):
        made = Training(Scaled(), SoftmaxGate, [member(0), member(1, rate)], recipe)
        list(losses(made))
        flats.append(made.best[0])
    assert all(torch.equal(flats[0][name], flats[1][name]) for name in flats[0])


def test_scores_are_float32() -> None:
    made = training("bf16", epochs=1)
    with Seen() as seen:
        made.evaluate_best("val")
    assert set(seen.linear) == {torch.float32}


def test_tf32_is_of_cuda_alone() -> None:
    assert training("tf32").notes == [NO_TF32]
    assert list(losses(training("tf32"))) == list(losses(training("float32")))


def switches() -> list[object]:
    """What torch's switches say, the older ones where they can."""
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    found: list[object] = [it.fp32_precision for it in (cuda.matmul, cudnn.conv, cudnn.rnn)]
    for switch in (cuda.matmul, cudnn):
        with suppress(RuntimeError):
            found.append(switch.allow_tf32)
    return found


ALLOWED = {"float32": False, "bf16": False, "tf32": True}


@pytest.mark.parametrize("precision", ALLOWED)
def test_on_cuda_tensor_cores_are_for_tf32_alone_and_for_the_time_being(
    precision: Precision,
) -> None:
    """The switches need no GPU; torch's own default lets cuDNN round."""
    cuda, cudnn, before = torch.backends.cuda, torch.backends.cudnn, switches()
    with precise(precision, torch.device("cuda"), Both(), Product()):
        assert [cuda.matmul.allow_tf32, cudnn.allow_tf32] == [ALLOWED[precision]] * 2
    assert switches() == before


SET = """
import torch
from gatelab.training.precision import tensor_cores
from tests.test_precision import switches
{set}
before = switches()
for allowed in (True, False):
    with tensor_cores(allowed):
        assert [it == "tf32" for it in switches()[:3]] == [allowed] * 3
    assert switches()[:3] == before[:3], (before, switches())
print("as before")
"""


@pytest.mark.parametrize(
    "newer",
    [
        "fp32_precision",
        "cudnn.conv.fp32_precision",
        "cuda.matmul.fp32_precision",
        "cudnn.fp32_precision",
    ],
)
@pytest.mark.parametrize("value", ["ieee", "tf32"])
def test_torch_s_newer_switches_are_left_as_somebody_has_set_them(newer: str, value: str) -> None:
    """The older ones cannot be asked then, for as long as a process runs."""
    code = SET.format(set=f"torch.backends.{newer} = {value!r}")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout == "as before\n", run.stderr


class Asked(SoftmaxGate):
    """Notes whether convolutions may be rounded, where it is called."""

    seen: ClassVar[set[bool]] = set()

    def forward(self, x: Tensor) -> Routing:
        self.seen.add(torch.backends.cudnn.allow_tf32)
        return super().forward(x)


class Mixing(Learner):
    """Notes it beside the steps."""

    seen: ClassVar[set[bool]] = set()

    def before_step(self, members: Members) -> None:
        self.seen.add(torch.backends.cudnn.allow_tf32)


def test_scores_and_what_a_learner_does_beside_steps_are_never_rounded() -> None:
    assert torch.backends.cudnn.allow_tf32, "torch's default"
    learners.register("Mixing", Learner)(Mixing)
    try:
        chosen = member().configuration
        made = Training(
            Scaled(), Asked, [Member(Configuration({**chosen.values, LEARNER: "Mixing"}), 0)], SHORT
        )
        made.run_epoch()
        Asked.seen.clear()
        made.evaluate_best("val")
    finally:
        del learners._classes["Mixing"]
    assert Asked.seen == Mixing.seen == {False}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_products_within_attention_are_rounded_whether_or_not_it_drops(dropout: float) -> None:
    """Torch hands a mode the whole layer as one function, whose products it would not see."""
    layer, x = nn.MultiheadAttention(8, 2, dropout, batch_first=True), torch.ones(2, 3, 8)
    with Seen() as seen, ShortProducts(layer, nn.Identity()):
        with Randomness(torch.tensor(seed_key(1))) if dropout else nullcontext():
            answer, _ = layer(x, x, x)
    assert set(seen.linear) == {torch.bfloat16} and len(seen.linear) == 2
    assert answer.dtype == torch.float32
