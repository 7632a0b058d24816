"""Checks of what a gate returns."""

from __future__ import annotations

import copy
from typing import get_args

import torch

from gatelab.conformance import fail
from gatelab.foreign import told
from gatelab.gates.check.subject import (
    BATCH,
    EXPERTS,
    KEEPS,
    Subject,
    alike,
    random_in_training,
    repeats,
    route,
    rows,
)
from gatelab.gates.gate import Gate, Role, Routing
from gatelab.gates.meanings import check_diagnostics, check_scalars
from gatelab.registry import near_misses

SIZES = (1, 2, 3, 5, 16, 64)


def check_is_documented(subject: Subject) -> None:
    """The class says in a sentence what it does: ``gatelab list gates`` shows it."""
    text = subject.cls.__dict__.get("__doc__")
    if not text or not text.strip():
        fail(f"{subject.cls.__name__} has no docstring", "the class has none of its own")


def check_role_is_known(subject: Subject) -> None:
    """A comparison knows as what to take the gate."""
    role, roles = subject.cls.role, get_args(Role)
    if role not in roles:
        fail(f"the role is {role!r}; {near_misses(str(role), roles)}", "a misspelt role")


def check_weights_fit(subject: Subject) -> None:
    """Weights are ``(batch, num_experts)``, finite and not negative, for one row and for eight."""
    for batch in (1, BATCH):
        for gate in _modes(subject.make()):
            _check_weights(route(gate, rows(batch)), batch, EXPERTS)


def _check_weights(routing: Routing, batch: int, num_experts: int) -> None:
    weights = routing.weights
    if weights.shape != (batch, num_experts):
        fail(
            f"weights are of shape {tuple(weights.shape)} for a batch of {batch} and "
            f"{num_experts} experts",
            "a static gate that does not repeat its row, or a sum over the wrong dimension",
        )
    if not torch.isfinite(weights).all():
        fail("weights are NaN or inf", "a division by a sum, or a logarithm, that can be 0")
    if (weights < 0).any():
        fail(f"a weight is {weights.min():.3g}", "logits returned without a softmax or relu")


def check_weights_sum_to_one(subject: Subject) -> None:
    """Every row's weights add up to one."""
    for batch in (1, BATCH):
        for gate in _modes(subject.make()):
            total = route(gate, rows(batch)).weights.sum(-1)
            if not alike(total, torch.ones_like(total)):
                worst = total[(total - 1).abs().argmax()]
                cause = "they are not normalised, or over the rows: `softmax(-1)`, not `softmax(0)`"
                fail(f"the weights of a row sum to {worst:.4g}", cause)


def check_at_most_k(subject: Subject) -> None:
    """No row uses more experts than the gate's ``k``, where it has one."""
    for gate in _modes(subject.make()):
        used = (route(gate, rows(64)).weights > 0).sum(-1).max()
        if gate.k is not None and used > gate.k:
            mode = "training" if gate.training else "evaluation"
            fail(f"a row uses {used} experts in {mode} with k = {gate.k}", "weights that are small")


def check_aux_loss_is_a_finite_scalar(subject: Subject) -> None:
    """The aux loss is one finite number."""
    for gate in _modes(subject.make()):
        loss = route(gate, rows()).aux_loss
        if loss.shape != ():
            fail(f"aux_loss is of shape {tuple(loss.shape)}, not ()", "no mean over the batch")
        if not torch.isfinite(loss):
            fail(f"aux_loss is {loss:.3g}", "a logarithm of, or a division by, 0")


def check_aux_loss_is_a_mean(subject: Subject) -> None:
    """Every row twice leaves the aux loss: its weight must not depend on the batch size."""
    for gate in _modes(subject.make()):
        if gate.training and random_in_training(gate):
            continue
        x = rows(seed=3)
        once, twice = route(gate, x).aux_loss, route(gate, torch.cat([x, x])).aux_loss
        if once.shape != ():
            fail(f"aux_loss is of shape {tuple(once.shape)}, not ()", "no mean over the batch")
        if not alike(once, twice, 1e-4):
            cause = "a sum, not a mean" if repeats(gate) else KEEPS
            fail(f"twice the rows turn aux_loss {once:.4g} into {twice:.4g}", cause)


def check_diagnostics_have_names_and_meanings(subject: Subject) -> None:
    """No diagnostic has the name of a metric of every gate, and each says what it means."""
    returned = route(subject.make().eval(), rows()).diagnostics
    try:
        check_diagnostics(subject.cls.diagnostics, returned)
    except ValueError as error:
        fail(str(error).rstrip("."), "a value that is computed anyway, or no line on a new one")


def check_diagnostics_are_scalars_in_evaluation(subject: Subject) -> None:
    """Diagnostics are numbers, and cost nothing in training."""
    training, evaluation = (route(gate, rows()).diagnostics for gate in _modes(subject.make()))
    if training:
        fail(f"diagnostics {sorted(training)} in training", "no look at `self.training`")
    try:
        check_scalars(evaluation)
    except ValueError as error:
        fail(str(error).rstrip("."), "no mean over the batch")


def check_evaluation_is_deterministic(subject: Subject) -> None:
    """In evaluation the same rows give the same weights and aux loss, whatever the random state."""
    gate = subject.make().eval()
    first, second = route(gate, rows(), 0), route(gate, rows(), 1)
    for name in ("weights", "aux_loss"):
        if not torch.equal(getattr(first, name), getattr(second, name)):
            cause = "noise without a look at `self.training`" if repeats(gate) else KEEPS
            fail(f"two passes in evaluation differ in {name}", cause)


def check_rows_are_independent(subject: Subject) -> None:
    """In evaluation a row's weights do not depend on the rows beside it."""
    gate, x = subject.make().eval(), rows()
    together = route(gate, x).weights
    for index in range(BATCH):
        if not alike(together[index], route(gate, x[index : index + 1]).weights[0]):
            cause = "a statistic of the batch in the weights" if repeats(gate) else KEEPS
            fail(f"row {index} has other weights alone", cause)


def check_numbers_of_experts(subject: Subject) -> None:
    """Every number of experts works, k = num_experts too, or is refused with a ValueError."""
    whole = {"k"} & set(subject.defaults())
    for num_experts in SIZES:
        for changes in ({}, {"k": num_experts}) if whole else ({},):
            try:
                gate = subject.make(num_experts=num_experts, **changes)
            except ValueError as error:
                _check_refusal(error, num_experts)
                continue
            _check_size(gate, num_experts)


def _check_refusal(error: ValueError, num_experts: int) -> None:
    if "must hold" not in str(error):
        fail(
            f"{num_experts} experts are refused with {str(error)!r}",
            "a message that does not say which rule must hold, with its values",
        )


def _check_size(gate: Gate, num_experts: int) -> None:
    x = rows()
    try:
        routing = route(gate, x)
    except Exception as error:
        fail(
            f"with num_experts={num_experts} forward raises {told(error)}",
            "a size that the constructor takes, but cannot work with: refuse it there with a "
            "ValueError, or take less, as `min(k, num_experts)`",
        )
    _check_weights(routing, BATCH, num_experts)
    if routing.weights.requires_grad or routing.aux_loss.requires_grad:
        (routing.weights.square().sum() + routing.aux_loss).backward()
    for name, parameter in gate.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            fail(f"{num_experts} experts give {name!r} a gradient of NaN or inf", "a division by 0")


def _modes(gate: Gate) -> tuple[Gate, Gate]:
    """Return a gate in training, and one like it in evaluation."""
    return gate.train(), copy.deepcopy(gate).eval()


CHECKS = (
    check_is_documented,
    check_role_is_known,
    check_weights_fit,
    check_weights_sum_to_one,
    check_at_most_k,
    check_aux_loss_is_a_finite_scalar,
    check_aux_loss_is_a_mean,
    check_diagnostics_are_scalars_in_evaluation,
    check_diagnostics_have_names_and_meanings,
    check_evaluation_is_deterministic,
    check_rows_are_independent,
    check_numbers_of_experts,
)
