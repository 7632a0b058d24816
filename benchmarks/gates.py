"""Every gate's forward and backward against softmax's: 8 targets, and 8 members, at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.clock import medians, report
from gatelab.gates import DSelectKGate, SoftmaxGate, Stack, TopKGate, gates, make_gate
from gatelab.gates.gate import Gate
from gatelab.training.memory import keep_freed_memory

BATCH, FEATURES, EXPERTS, TARGETS, MEMBERS = 256, 64, 16, 8, 8


def main() -> None:
    """Print the ratios."""
    keep_freed_memory()  # as a training does
    torch.manual_seed(0)
    x = torch.randn(BATCH, FEATURES, requires_grad=True)
    cotangent = torch.randn(TARGETS, BATCH, EXPERTS)

    def fused(make: Callable[[], Gate]) -> Callable[[], None]:
        stack = Stack([make() for _ in range(TARGETS)])

        def run() -> None:
            weights, aux_loss, *_ = stack(x)
            ((weights * cotangent).sum() + aux_loss.sum()).backward()

        return run

    def transcribed() -> Callable[[], None]:
        modules = [Transcription(2) for _ in range(TARGETS)]

        def run() -> None:
            for gate, c in zip(modules, cotangent, strict=True):
                weights, loss = gate(x)
                ((weights * c).sum() + loss).backward()

        return run

    times = medians(
        {
            "softmax": fused(lambda: SoftmaxGate(FEATURES, EXPERTS)),
            "top_k": fused(lambda: TopKGate(FEATURES, EXPERTS, k=2)),
            "dselect_k": fused(lambda: DSelectKGate(FEATURES, EXPERTS, k=2, entropy_weight=0.1)),
            "transcription": transcribed(),
        }
    )
    figures = {name: f"{1e3 * seconds:.2f} ms" for name, seconds in times.items()}
    report("gates: dselect_k / softmax", times["dselect_k"] / times["softmax"], "<= 4", **figures)
    _all_gates(x)


def _all_gates(x: Tensor) -> None:
    """Print each gate's ratio, for 8 members of 8 targets."""
    cotangent = torch.randn(MEMBERS, TARGETS, BATCH, EXPERTS)
    # The constant prediction has no tensors, and no forward that would be called.
    names = [name for name in gates.names() if name != "constant"]
    rivals = {name: _members(gates.get(name), x, cotangent) for name in names}
    rivals["comet (k = 4)"] = _members(gates.get("comet"), x, cotangent, k=4)
    times = medians(rivals, rounds=9, calls=2)
    for name in sorted(times, key=lambda name: times[name]):
        ratio, seconds = times[name] / times["softmax"], times[name]
        report(
            f"gates: {MEMBERS} members of {name} / softmax",
            ratio,
            "<= 8",
            ms=f"{1e3 * seconds:.1f}",
        )


def _members(
    cls: type[Gate], x: Tensor, cotangent: Tensor, **hyperparameters: int
) -> Callable[[], None]:
    """Return a forward and backward of all members of a gate."""
    place = {"num_targets": TARGETS, **hyperparameters}
    made = [
        Stack([make_gate(cls, FEATURES, EXPERTS, target=t, **place) for t in range(TARGETS)])
        for _ in range(MEMBERS)
    ]
    names = {name for name, _ in made[0].each.named_parameters()}
    tensors = {
        name: torch.stack([stack.tensors()[name].detach() for stack in made]).requires_grad_(
            name in names
        )
        for name in made[0].tensors()
    }

    def call(tensors: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        named = {f"each.{name}": tensor for name, tensor in tensors.items()}
        routing = functional_call(made[0], named, (x,))
        return routing.weights, routing.aux_loss

    fused = torch.vmap(call, in_dims=(0, None), randomness="different")

    def run() -> None:
        weights, aux_loss = fused(tensors, x)
        loss = (weights * cotangent).sum() + aux_loss.sum()
        if loss.requires_grad:
            loss.backward()

    return run


class Transcription(nn.Module):
    """DSelect-k written as its formula reads: a product over every code's bits."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k, self.bits = k, (EXPERTS - 1).bit_length()
        self.z = nn.Linear(FEATURES, k * self.bits)
        self.w = nn.Linear(FEATURES, k)
        codes = torch.arange(EXPERTS).unsqueeze(1) >> torch.arange(self.bits).flip(0)
        self.register_buffer("codes", (codes & 1).bool())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = self.z(x).view(-1, self.k, 1, self.bits)
        step = torch.where(t <= -0.5, 0.0, torch.where(t >= 0.5, 1.0, -2 * t**3 + 1.5 * t + 0.5))
        selectors = torch.where(self.codes, step, 1 - step).prod(-1)
        weights = (self.w(x).softmax(-1).unsqueeze(-1) * selectors).sum(1)
        entropy = -(selectors * (selectors + 1e-6).log()).sum((1, 2)).mean()
        return weights, 0.1 * entropy
