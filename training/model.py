"""The model that is trained: a task's networks around a mixture with one gate a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gatelab.gates import Mixture, Planted, Routing, Stack, make_gate
from gatelab.gates.gate import Gate
from gatelab.nn.likeness import difference
from gatelab.nn.ties import check_untied
from gatelab.tasks.columns import by_target
from gatelab.tasks.loss import loss_of
from gatelab.tasks.target import Target
from gatelab.tasks.task import Task, Truth


class Output(NamedTuple):
    """What a model returns for a batch."""

    groups: tuple[Tensor, ...]
    """For each group of like targets their outputs, ``(targets, batch, out_features)``."""
    routing: Routing
    """Every target's: weights ``(targets, batch, num_experts)``, the rest ``(targets,)``."""
    buffers: dict[str, Tensor]
    """The gates' buffers after this step, by name, where a gate updates any."""


class Model(nn.Module):
    """A bottom, experts, gates and towers, in the order in which a seed initialises them.

    Gates come last, so that models with different gates and one seed start from equal networks.
    """

    def __init__(
        self,
        task: Task,
        gate: type[Gate],
        gate_options: Mapping[str, Any],
        model_options: Mapping[str, Any],
    ) -> None:
        """Make the model from torch's global random state.

        Args:
            task: Gives the factories and the targets.
            gate: The class of every target's gate.
            gate_options: Its hyperparameters.
            model_options: ``num_experts``, unless the gate brings its own number, and keyword
                arguments of the task's ``network``.

        Raises:
            ValueError: If an option is out of its range, a part has a lazy layer, or parts share
                what they learn, other than the bottom and the gate's input, which are no stacks of
                copies.
        """
        super().__init__()
        self._placed: dict[tuple[torch.device, torch.dtype], Tensor] = {}
        options = dict(model_options)
        num_experts = gate.num_experts_for(options.pop("num_experts"), len(task.targets))
        network = task.network(**options)
        self.bottom = network.bottom()
        kinds = [[make() for _ in range(count)] for make, count in network.experts(num_experts)]
        towers = [network.tower(target) for target in task.targets]
        self.gate_input = network.gate_input()
        self.gate_reads_experts = network.gate_reads_experts
        sizes = (network.gate_width(num_experts), num_experts)
        gates = [
            target_gate(task, index, gate, sizes, gate_options)
            for index in range(len(task.targets))
        ]
        parts: dict[str, Sequence[nn.Module]] = {
            **{"bottom": [self.bottom], "gate_input": [self.gate_input]},
            **{"expert": [*chain(*kinds)], "tower": towers, "gate": gates},
        }
        _check_sized(_numbered(parts))
        check_untied(_numbered(parts), may=("bottom", "gate_input"))
        self.mixture = Mixture(gates, *kinds)
        self.targets = task.targets
        self.groups = _like_targets(task.targets, towers)
        self.towers = nn.ModuleList(Stack([towers[i] for i in group]) for group in self.groups)

    def forward(
        self, inputs: Tensor, progress: Tensor | None = None, mask: Tensor | None = None
    ) -> Output:
        """Compute every target's output.

        Args:
            inputs: ``(batch, ...)``, as the task's splits hold them.
            progress: In training, the share of it that is done, ``()``, in [0, 1].
            mask: In training, true where a target is known, ``(batch, targets)``: gates learn
                from these rows, and outputs of the others have no meaning. By default all.
        """
        features = self.bottom(inputs)
        known = None if mask is None else mask.mT
        read = self.of_experts if self.gate_reads_experts else self.gate_input(features)
        mixed, routing = self.mixture(features, read, known)
        buffers = {}
        if progress is not None:
            after = self.mixture.next_buffers(routing, progress, known)
            buffers = {f"mixture.{name}": tensor for name, tensor in after.items()}
        return Output(self._towers(mixed), routing, buffers)

    def of_experts(self, outputs: Tensor) -> Tensor:
        """Return what gates read of experts, ``(batch, in_features)``, one expert after another.

        Args:
            outputs: ``(num_experts, batch, expert_features)``
        """
        each: Tensor = self.gate_input(outputs.flatten(0, 1))
        by_row: Tensor = each.unflatten(0, outputs.shape[:2]).transpose(0, 1).flatten(1)
        return by_row

    def _towers(self, mixed: Tensor) -> tuple[Tensor, ...]:
        if len(self.groups) == 1:
            return (self.towers[0](mixed, own=True),)
        parts = mixed.unbind(0)
        pairs = zip(self.towers, self.groups, strict=True)
        return tuple(tower(torch.stack([parts[i] for i in g]), own=True) for tower, g in pairs)

    def row_losses(self, groups: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Return the loss of every row, ``(targets, batch)``.

        Args:
            groups: The outputs by group, as :meth:`forward` returns them.
            targets: ``(batch, columns)``, those of every target.
        """
        parts, values = [], by_target(self.targets, targets)
        alike = len(self.groups) == 1 and len(values) == targets.shape[1]
        for outputs, group in zip(groups, self.groups, strict=True):
            # Not indexed by a list: on a GPU a step would wait for the copy of its numbers.
            target = targets.mT if alike else torch.stack([values[i] for i in group])
            rows = loss_of(self.targets[group[0]])(outputs.flatten(0, 1), target.flatten(0, 1))
            parts.append(rows.unflatten(0, outputs.shape[:2]))
        return parts[0] if len(parts) == 1 else torch.stack(self.split_groups(parts))

    def split_groups(self, groups: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return each target's part of what the groups hold, ``(targets of the group, ...)``."""
        parts: dict[int, Tensor] = {}
        for group, tensor in zip(self.groups, groups, strict=True):
            parts.update(zip(group, tensor.unbind(0), strict=True))
        return tuple(parts[target] for target in range(len(self.targets)))

    def target_losses(self, row_losses: Tensor, mask: Tensor | None) -> Tensor:
        """Return every target's mean loss over its known rows, ``(targets,)``; 0 without any.

        Args:
            row_losses: ``(targets, batch)``.
            mask: ``(batch, targets)``, true where a target is known.
        """
        if mask is None:
            return row_losses.mean(1)
        total = (row_losses * mask.mT).sum(1)
        return total / mask.sum(0).clamp_min(1)

    def task_loss(self, target_losses: Tensor) -> Tensor:
        """Return the task's loss ``()``: the targets' ``(targets,)``, weighted and added."""
        return target_losses @ self._target_weights(target_losses)

    def _target_weights(self, like: Tensor) -> Tensor:
        """Return them ``(targets,)``, put on a device once: a step must not wait for a copy."""
        place = (like.device, like.dtype)
        if place not in self._placed:
            weights = [target.weight for target in self.targets]
            self._placed[place] = torch.tensor(weights, device=like.device, dtype=like.dtype)
        return self._placed[place]


def target_gate(
    task: Task, index: int, cls: type[Gate], sizes: tuple[int, int], options: Mapping[str, Any]
) -> Gate:
    """Make the gate of one of a task's targets, which is told what there is to know of the task.

    Args:
        task: Has the targets, and a truth if one is planted.
        index: The target's.
        cls: The gate's class.
        sizes: Its ``in_features`` and ``num_experts``.
        options: Its hyperparameters.

    Raises:
        ValueError: If an option is out of its range, or the gate does not fit the task.
    """
    gate = make_gate(cls, *sizes, target=index, num_targets=len(task.targets), **options)
    gate.reveal(_planted(task.truth, index))
    return gate


def _numbered(parts: Mapping[str, Sequence[nn.Module]]) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module with the name of its part, and its place where that has several."""
    for name, modules in parts.items():
        for place, module in enumerate(modules, 1):
            yield name if len(modules) == 1 else f"{name} {place}", module


def _check_sized(parts: Iterator[tuple[str, nn.Module]]) -> None:
    """Check that every module has its numbers from the beginning, of its own seed."""
    for part, module in parts:
        if any(is_lazy(it) for it in chain(module.parameters(), module.buffers())):
            raise ValueError(
                "Modules must have all their numbers when they are made, but the "
                f"{part} has a lazy layer: give it its size, as `nn.Linear` has it."
            )


def _planted(truth: Truth | None, index: int) -> Planted | None:
    """Return what a truth says of one target, in the words of the gates; if it knows experts."""
    if truth is None or not truth.experts:
        return None
    regimes = truth.regimes
    if regimes is None:
        return Planted((truth.experts[index],))
    return Planted(tuple(experts[index] for experts in regimes.experts), regimes.directions)


def _like_targets(targets: Sequence[Target], towers: Sequence[nn.Module]) -> list[list[int]]:
    """Group the targets of one loss whose towers differ in tensors alone, so that they run at once.

    A group runs as its first tower does, so that whatever else differs sets a tower apart.
    """
    groups: list[list[int]] = []
    for index, target in enumerate(targets):
        for group in groups:
            first = targets[group[0]]
            like = _form(first) == _form(target)
            if like and not difference(towers[group[0]], towers[index]):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def _form(target: Target) -> tuple[str, int, str | None]:
    """Return what targets must have in common for one loss to be computed of all."""
    return target.kind, target.out_features, target.loss
