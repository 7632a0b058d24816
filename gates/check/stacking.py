"""Checks of gates of several targets and members in one call."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.conformance import fail
from gatelab.gates.check.subject import (
    KEEPS,
    Subject,
    alike,
    descend,
    learnt_of,
    random_in_training,
    repeats,
    route,
    rows,
)
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.randomness import Randomness, drawing_from
from gatelab.gates.stack import Stack
from gatelab.gates.tensor_hooks import TensorHooks
from gatelab.nn.likeness import advice, difference
from gatelab.nn.ties import VIEWED, same_numbers, tie

TARGETS = 3
HOOKED = (
    "a hook on the gradient of a tensor (`register_hook`), which is called where gates run one by "
    "one alone: `s * x + ((1 - s) * x).detach()` scales the gradient of x by s anywhere"
)
UNSTACKED = "a real hyperparameter as a Python number, not a buffer, or a fixed dimension"


def check_gates_differ_in_tensors_alone(subject: Subject) -> None:
    """Gates of several targets, each placed and from its own seed, have equal attributes.

    And no parameter in common, nor one that lies in the numbers of another.
    """
    gates = [subject.make(seed=t, target=t, num_targets=TARGETS) for t in range(TARGETS)]
    for gate in gates[1:]:
        if found := difference(gates[0], gate):
            cause = f"what `place` or the start makes of it: {advice(found)}"
            fail(f"of gates that run as one {found}", cause)
    numbered = [(f"gate {target}", gate) for target, gate in enumerate(gates, 1)]
    if found := tie(numbered):
        fail(found, "a parameter made outside `__init__`")
    if found := same_numbers(numbered):
        fail(found, VIEWED)


def check_stacking_equals_the_loop(subject: Subject) -> None:
    """Gates of several targets and members at once give what each gives alone, gradients too."""
    members = [[subject.make(seed=3 * m + t) for t in range(TARGETS)] for m in range(2)]
    x = rows()
    for training in (True, False):
        if training and random_in_training(members[0][0]):
            continue
        together = _stacked(members, x, training)
        with TensorHooks() as hooks:
            alone = [[_one(gate.train(training), x) for gate in gates] for gates in members]
        for m, gates in enumerate(alone):
            for t, results in enumerate(gates):
                cause = HOOKED if hooks.count else UNSTACKED
                _compare(results, [result[m][t] for result in together], cause)


def check_stacked_gates_train(subject: Subject) -> None:
    """In training gates can be stacked whatever is random in them, each with its own numbers."""
    stack = Stack([subject.make(seed=0) for _ in range(2)])
    with drawing_from(0), Randomness(torch.tensor(3)):  # as a training does
        routing: Routing = stack(rows(64))
    gate = subject.make()
    each = (tensor.unbind(0) for tensor in (routing.weights, routing.aux_loss))
    if random_in_training(gate) and all(torch.equal(one, other) for one, other in each):
        cause = "a generator of the gate's own" if repeats(gate) else KEEPS
        what = "the same weights and aux_loss, where each differs from pass to pass"
        fail(f"stacked gates give {what}", cause)


def _stacked(members: list[list[Gate]], x: Tensor, training: bool) -> list[Tensor]:
    """Return weights, losses, next buffers and gradients, ``(members, targets, ...)`` each."""
    stacks = [Stack(gates).train(training) for gates in members]
    skeleton = stacks[0]
    tensors = {
        name: torch.stack([stack.tensors()[name].detach() for stack in stacks])
        for name in skeleton.tensors()
    }
    learnt = list(learnt_of(skeleton.each))
    for name in learnt:
        tensors[name].requires_grad_()

    def call(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        named = {f"each.{name}": tensor for name, tensor in tensors.items()}
        routing: Routing = functional_call(skeleton, named, (x,))
        return routing.weights, routing.aux_loss

    if tensors:
        weights, losses = torch.vmap(call, randomness="different")(tensors)
    else:
        weights, losses = (
            torch.stack(parts) for parts in zip(*(call({}) for _ in stacks), strict=True)
        )
    if learnt:
        descend(weights.square().sum() + losses.sum())
    gradients = [tensors[name].grad for name in learnt]
    return [weights, losses, *(g for g in gradients if g is not None)]


def _one(gate: Gate, x: Tensor) -> list[Tensor]:
    gate.zero_grad()
    routing = route(gate, x)
    parameters = list(learnt_of(gate).values())
    if parameters:
        descend(routing.weights.square().sum() + routing.aux_loss)
    gradients = [p.grad for p in parameters]
    return [routing.weights, routing.aux_loss, *(g for g in gradients if g is not None)]


def _compare(alone: list[Tensor], together: list[Tensor], cause: str) -> None:
    for index, (one, other) in enumerate(zip(alone, together, strict=True)):
        if not alike(one, other, 1e-4):
            what = ("weights", "aux_loss")[index] if index < 2 else "gradients"
            fail(f"stacked gates give other {what} than each alone", cause)


CHECKS = (
    check_gates_differ_in_tensors_alone,
    check_stacking_equals_the_loop,
    check_stacked_gates_train,
)
