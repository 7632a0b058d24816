"""The mixture layer: every target's gate over shared experts, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from gatelab.gates.dependence import Dependence
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.known_rows import stand_ins
from gatelab.gates.returned import checked, next_values
from gatelab.gates.stack import Stack
from gatelab.gates.stacks import Stacks
from gatelab.gates.union import union_cost


class Mixture(nn.Module):
    """Mixes shared experts once for each target."""

    def __init__(
        self, gates: Sequence[Gate], experts: Sequence[nn.Module], *others: Sequence[nn.Module]
    ) -> None:
        """Stack one gate a target and the experts.

        Args:
            gates: Of one structure.
            experts: Likewise.
            others: Experts of other kinds, each of one structure; gates count them after these.
        """
        super().__init__()
        self.gates = _Gates(gates)
        kinds = [Stack(kind) for kind in (experts, *others)]
        self.experts: Stack | Stacks = kinds[0] if len(kinds) == 1 else Stacks(kinds)
        self.counts_union = True
        """Whether the union of experts is counted where gates have a factor of its cost; to be
        unset where that is 0 in all that run."""

    @property
    def union_weights(self) -> Tensor | None:
        """Every gate's factor of the cost of the union ``(targets,)``, where they have one."""
        return cast("Tensor | None", getattr(self.each, "union_weight", None))

    @property
    def costs_union(self) -> bool:
        """Whether a factor of the cost of the union is above 0."""
        return self.union_weights is not None and bool(self.union_weights.any())

    @property
    def updates(self) -> bool:
        """Whether a step changes buffers of the gates, as they are now."""
        return self.each.updates

    @property
    def each(self) -> Gate:
        """The gate of every target, whose tensors are all targets' own."""
        return cast(Gate, self.gates.each)

    def forward(
        self,
        features: Tensor,
        gate_input: Tensor | Callable[[Tensor], Tensor],
        known: Tensor | None = None,
    ) -> tuple[Tensor, Routing]:
        """Mix the experts for every target.

        Args:
            features: What the experts read, ``(batch, ...)``.
            gate_input: What the gates read, ``(batch, in_features)``; or what makes it of the
                experts' outputs ``(num_experts, batch, expert_features)``.
            known: True where a target's value is known, ``(targets, batch)``: the rows that its
                gate learns from. What is mixed for the others is of no meaning. By default all.

        Returns:
            The mixtures, ``(targets, batch, expert_features)``, and the stacked routing: weights
            ``(targets, batch, num_experts)``, aux losses and diagnostics ``(targets,)``. In
            training each target's aux loss has an equal part of the cost of the union.
        """
        if isinstance(gate_input, Tensor):
            routing, experts = self._route(gate_input, known), self.experts(features)
        else:
            experts = self.experts(features)
            routing = self._route(gate_input(experts), known)
        # A gate may return its weights transposed, and BLAS then copies them row by row.
        weights = routing.weights.contiguous()
        return torch.einsum("tbn,nbd->tbd", weights, experts), routing

    def _route(self, gate_input: Tensor, known: Tensor | None) -> Routing:
        routing: Routing
        if known is None:
            routing = self.gates(gate_input)
        else:
            routing = self.gates(gate_input[stand_ins(known)], own=True)
            routing = routing._replace(aux_loss=routing.aux_loss * known.any(1))
        expected = (self.gates.size, gate_input.shape[0], self.experts.size)
        if routing.weights.shape != expected:
            raise ValueError(
                f"{type(self.gates.each).__name__}: weights must be of shape (batch, num_experts) "
                f"= {expected[1:]}, but got {tuple(routing.weights.shape[1:])}."
            )
        return self._with_union(routing, known)

    def _with_union(self, routing: Routing, known: Tensor | None) -> Routing:
        """Add what it costs that targets use many experts together, if it costs anything."""
        factors = self.union_weights if self.training and self.counts_union else None
        if factors is None:
            return routing
        part = union_cost(routing.weights, known) / self.gates.size
        return routing._replace(aux_loss=routing.aux_loss + factors * part)

    def next_buffers(
        self, routing: Routing, progress: Tensor, known: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the gates' buffers after a step, by their name in this module.

        Args:
            routing: What :meth:`forward` returned.
            progress: The share of the training that is done, ``()``, in [0, 1].
            known: As in :meth:`forward`. Without any known row a gate's buffers follow progress
                alone: the others stay.
        """
        each = _Update(self.each)

        def update(tensors: dict[str, Tensor], seen: tuple[Any, ...], progress: Tensor) -> Any:
            return functional_call(each, tensors, (progress, *seen))

        tensors = {f"gate.{name}": tensor for name, tensor in self.gates.tensors().items()}
        seen = (routing,) if known is None else (routing, known.any(1))
        after = self.gates.call(update, (tensors, seen), (progress,))
        return {f"gates.each.{name}": tensor for name, tensor in after.items()}


class _Gates(Stack):
    """Gates, which return routings."""

    def _call(self, tensors: dict[str, Tensor], x: Tensor) -> Routing:
        return checked(self.each, super()._call(tensors, x))


class _Update(nn.Module):
    """A gate's ``update`` as a forward, which is what ``functional_call`` calls."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def forward(
        self, progress: Tensor, routing: Routing, learns: Tensor | None = None
    ) -> dict[str, Tensor]:
        if learns is None:
            return next_values(self.gate, routing, progress)
        with Dependence(tree_leaves(routing)) as of_routing:
            after = next_values(self.gate, routing, progress)
        before = dict(self.gate.named_buffers())
        for name in after.keys() & before.keys():
            if after[name] in of_routing:
                after[name] = torch.where(learns, after[name], before[name])
        return after
