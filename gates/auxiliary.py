"""Losses that any gate can be given, and the making of a gate with them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gatelab.gates.gate import Gate, Planted, Routing
from gatelab.gates.returned import checked, next_values
from gatelab.rules import check_not_negative

AUXILIARY_WEIGHTS: Mapping[str, float] = {
    "balance_weight": 0.0,
    "z_weight": 0.0,
    "union_weight": 0.0,
}
"""Hyperparameters that every gate has beside its own, with their defaults."""


def make_gate(
    cls: type[Gate],
    in_features: int,
    num_experts: int,
    *,
    target: int = 0,
    num_targets: int = 1,
    union_weight: float | None = None,
    **hyperparameters: Any,
) -> Gate:
    """Make one target's gate, with the auxiliary losses that its hyperparameters ask for.

    A weight that is not given leaves no trace, as it does in the operations of a step.

    Args:
        cls: The gate's class.
        in_features: Size of the gate's input.
        num_experts: Number of experts.
        target: The index of the target, in [0, num_targets).
        num_targets: Of the task.
        union_weight: Factor of `union_cost`, 0 or more: what each expert costs that any target
            uses for a row. A gate only keeps it; the mixture, which sees all targets, adds it.
        hyperparameters: The class's own, and those of :class:`AuxiliaryLosses`.

    Raises:
        ValueError: If a value is out of its range, or the class has one of these weights itself.
    """
    _check_no_other(cls)
    weights = {n: hyperparameters.pop(n) for n in AUXILIARY_WEIGHTS if n in hyperparameters}
    gate = cls(in_features, num_experts, **hyperparameters)
    gate.place(target, num_targets)
    made = AuxiliaryLosses(gate, **weights) if weights else gate
    if union_weight is not None:
        _check_union_weight(union_weight)
        made.register_hyperparameters(union_weight=union_weight)
    return made


def _check_no_other(cls: type[Gate]) -> None:
    """Check that no hyperparameter of a class has the name of one that every gate has."""
    for name in AUXILIARY_WEIGHTS.keys() & inspect.signature(cls).parameters:
        raise ValueError(
            f"{cls.__name__} must call its own `{name}` otherwise, which is that of a loss that "
            "every gate can be given."
        )


def _check_union_weight(union_weight: float) -> None:
    if not 0 <= union_weight < math.inf:
        raise ValueError(f"`0 <= union_weight < inf` must hold, but got ({union_weight=}).")


class AuxiliaryLosses(Gate):
    """A gate with a balancing loss, a z-loss or both beside its own."""

    balance_weight: Tensor
    z_weight: Tensor

    def __init__(self, gate: Gate, *, balance_weight: float = 0.0, z_weight: float = 0.0) -> None:
        """Add losses to a gate.

        Args:
            gate: What it is about.
            balance_weight: Factor of :func:`balance_loss`, 0 or more. It acts within the gate's
                target: its rows are spread over the experts, not the targets.
            z_weight: Factor of :func:`z_loss`, 0 or more, of the target's logits alone.

        Raises:
            ValueError: If a weight is negative, or the gate has no logits for a z-loss.
        """
        super().__init__(gate.in_features, gate.num_experts)
        check_not_negative(balance_weight=balance_weight, z_weight=z_weight)
        self.gate, self.k = gate, gate.k
        self.register_hyperparameters(balance_weight=balance_weight, z_weight=z_weight)
        if z_weight and not self._has_logits():
            raise ValueError(
                f"`z_weight` needs a gate with logits, but {type(gate).__name__} has none "
                f"({z_weight=})."
            )

    def _has_logits(self) -> bool:
        with torch.no_grad(), torch.random.fork_rng([]):
            routing = checked(self.gate, self.gate(torch.zeros(2, self.in_features)))
        return bool(routing.logits)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        routing = checked(self.gate, self.gate(x))
        loss = routing.aux_loss + self.balance_weight * balance_loss(routing.weights)
        for logits in routing.logits:
            loss = loss + self.z_weight * z_loss(logits)
        return routing._replace(aux_loss=loss)

    def reveal(self, planted: Planted | None) -> None:
        """Pass it on."""
        self.gate.reveal(planted)

    @property
    def updates(self) -> bool:
        """Whether the gate's own ``update`` does anything."""
        return self.gate.updates

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return the next values of the gate's buffers."""
        after = next_values(self.gate, routing, progress)
        return {f"gate.{name}": value for name, value in after.items()}


def balance_loss(weights: Tensor) -> Tensor:
    """Return how unevenly a batch ``(batch, num_experts)`` uses experts, ``()``; 1 where evenly.

    Source: Fedus, Zoph and Shazeer, Switch Transformers, JMLR 2022, eqs. 4 to 6: n sum_i f_i P_i,
    with f_i the share of examples whose largest weight is expert i's and P_i its mean weight.
    """
    num_experts = weights.shape[-1]
    largest = torch.nn.functional.one_hot(weights.argmax(-1), num_experts).to(weights.dtype)
    return num_experts * (largest.mean(0) * weights.mean(0)).sum()


def z_loss(logits: Tensor) -> Tensor:
    """Return the mean squared log-partition ``()`` of logits ``(..., n)``, which keeps them small.

    Source: Zoph et al., ST-MoE: Designing Stable and Transferable Sparse Expert Models, 2022,
    eq. 5.
    """
    return logits.logsumexp(-1).square().mean()
