"""Checks of how a gate learns: something, from a seed, and from every hyperparameter."""

from __future__ import annotations

from typing import Any

import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution
from torch import Tensor

from gatelab.conformance import fail
from gatelab.gates.check.subject import (
    EXPERTS,
    FEATURES,
    Subject,
    alike,
    descend,
    learnt_of,
    route,
    rows,
)
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.returned import next_values
from gatelab.registry import near_misses

OUTPUTS, ROWS = 4, 128
STEPS, FEW_STEPS, LEARNING_RATE = 150, 6, 0.05
LOWERED = 0.95
"""The share of its first loss below which a gate has learnt something."""


def check_gradient_reaches_every_parameter(subject: Subject) -> None:
    """Every parameter that is not frozen has a finite gradient, not zero everywhere."""
    gate = subject.make()
    if not learnt_of(gate):
        return
    _train(gate, steps=2, of=STEPS)  # a kernel may start at zero, and what is annealed not late
    routing = route(gate, rows(64))
    descend(_planted_loss(routing) + routing.aux_loss)
    for name, parameter in learnt_of(gate).items():
        if parameter.grad is None or not parameter.grad.any():
            fail(f"no gradient reaches {name!r}", "a detach, an argmax, or a parameter not used")
        if not torch.isfinite(parameter.grad).all():
            fail(f"the gradient of {name!r} is NaN or inf", "a square root or division at 0")


def check_training_lowers_the_loss(subject: Subject) -> None:
    """A gate with parameters, not all frozen, learns which of some fixed experts to use."""
    gate = subject.make()
    if not learnt_of(gate):
        return
    before = _evaluated_loss(gate)
    _train(gate, steps=STEPS)
    after = _evaluated_loss(gate)
    if not after < LOWERED * before:
        fail(
            f"{STEPS} steps turn the loss of a planted problem from {before:.3g} into {after:.3g}",
            "a gradient of the wrong sign, or none",
        )


def check_same_seed_gives_the_same_course(subject: Subject) -> None:
    """Two trainings from the same seeds end with the same numbers."""
    first, second = (subject.make() for _ in range(2))
    for gate in (first, second):
        _train(gate, steps=FEW_STEPS)
    for (name, one), other in zip(
        first.state_dict().items(), second.state_dict().values(), strict=True
    ):
        if not torch.equal(one, other):
            fail(f"{name!r} differs between two trainings from one seed", "other random numbers")


def check_search_space_names_arguments(subject: Subject) -> None:
    """Every entry of the search space is a distribution of a keyword argument with a default."""
    defaults = subject.defaults()
    for name, distribution in subject.cls.search_space.items():
        if name not in defaults:
            near = near_misses(name, defaults)
            fail(f"{name!r} is no keyword argument with a default; {near}", "a misspelt name")
        if not isinstance(distribution, BaseDistribution):
            fail(f"{name!r} is {distribution!r}", "no distribution of optuna.distributions")


def check_defaults_lie_in_the_search_space(subject: Subject) -> None:
    """A search can find what it tries first: the class's ``first_trial``, else the default."""
    first, space = subject.cls.first_trial, subject.cls.search_space
    for name in first:
        if name not in space:
            fail(f"`first_trial` has {name!r}; {near_misses(name, space)}", "it is not searched")
    defaults = subject.defaults() | dict(first)
    for name, distribution in subject.cls.search_space.items():
        if name not in defaults or not isinstance(distribution, BaseDistribution):
            continue
        value = defaults[name]
        if not _holds(distribution, value):
            fail(f"{name}={value!r} lies outside {distribution}", "a range too narrow")


def check_search_space_is_live(subject: Subject) -> None:
    """Each hyperparameter that is searched changes what a short training gives."""
    for name, distribution in subject.cls.search_space.items():
        known = name in subject.defaults() and isinstance(distribution, BaseDistribution)
        if known and not distribution.single():
            results = [_course(subject, {name: value}) for value in _ends(distribution)]
            if all(alike(result, results[0], 1e-7) for result in results[1:]):
                fail(f"{name!r} changes nothing", "a hyperparameter that is kept but not used")


def _course(subject: Subject, changes: dict[str, Any]) -> Tensor:
    """Return all that a short training comes to, as one row of numbers.

    Of the second of two targets: what a target has for itself changes nothing where it is alone.
    """
    gate = subject.make(target=1, num_targets=2, **changes)
    _train(gate, steps=FEW_STEPS)
    training, evaluation = route(gate.train(), rows()), route(gate.eval(), rows())
    parts = [training.weights, training.aux_loss, evaluation.weights, evaluation.aux_loss]
    return torch.cat([part.detach().double().flatten() for part in parts])


def _train(gate: Gate, steps: int, of: int | None = None) -> None:
    """Take steps, of so many in all, on the planted problem, with the gate's own updates."""
    gate.train()
    parameters = list(learnt_of(gate).values())
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE) if parameters else None
    for step in range(steps):
        routing = route(gate, rows(ROWS), seed=step)
        if optimizer is not None:
            optimizer.zero_grad()
            descend(_planted_loss(routing) + routing.aux_loss)
            optimizer.step()
        with torch.no_grad():
            buffers = dict(gate.named_buffers())
            after = next_values(gate, routing, torch.tensor((step + 1) / (of or steps)))
            for name, value in after.items():
                buffers[name].copy_(value)


def _evaluated_loss(gate: Gate) -> float:
    gate.eval()
    with torch.no_grad():
        return float(_planted_loss(route(gate, rows(ROWS))))


def _planted_loss(routing: Routing) -> Tensor:
    """Return the squared error ``()`` of fixed experts, of which each row needs one of two."""
    generator = torch.Generator().manual_seed(11)
    maps = torch.randn(EXPERTS, FEATURES, OUTPUTS, generator=generator)
    x = rows(len(routing.weights))
    outputs = torch.einsum("bf,nfo->bno", x, maps)
    wanted = torch.where(x[:, :1] > 0, outputs[:, 1], outputs[:, 6])
    mixed = torch.einsum("bn,bno->bo", routing.weights, outputs)
    return (mixed - wanted).square().mean()


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low, distribution.high]  # type: ignore[attr-defined]  # Int or Float


CHECKS = (
    check_gradient_reaches_every_parameter,
    check_training_lowers_the_loss,
    check_same_seed_gives_the_same_course,
    check_search_space_names_arguments,
    check_defaults_lie_in_the_search_space,
    check_search_space_is_live,
)
