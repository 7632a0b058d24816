"""The predictor: a trained model with one table of outputs, as a registry serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from gatelab.gates.stack import Stack
from gatelab.tasks.target import Kind, Target
from gatelab.training.model import Model

ACTIVATIONS: Mapping[Kind, str] = {
    "regression": "identity",
    "binary": "sigmoid",
    "multiclass": "softmax",
}
"""What turns a target's columns into a prediction: the value, the chance of 1, the classes'."""


class Predictor(nn.Module):
    """Runs a model in a form that ``torch.export`` traces for batches of every size.

    Where each target has a model of its own, each gives the output of its target.
    """

    def __init__(self, *models: Model, dense: bool = False) -> None:
        """Take models over, for inference.

        Args:
            models: A trained one, or one for each target.
            dense: Compute every expert for every example.
        """
        super().__init__()
        self.targets = models[0].targets
        every = range(len(self.targets))
        whose = [every] if len(models) == 1 else [[target] for target in every]
        pairs = zip(models, whose, strict=True)
        self.parts = nn.ModuleList(ModelPart(model, of, dense=dense) for model, of in pairs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the targets' outputs side by side, ``(batch, columns)``.

        Args:
            inputs: ``(batch, ...)``, as the task's splits hold them.
        """
        return torch.cat([part(inputs) for part in self.parts], dim=1)

    @torch.no_grad()
    def as_trained(self, inputs: Tensor) -> Tensor:
        """Return the same as models compute it that are not in this form."""
        return torch.cat([cast(ModelPart, part).as_trained(inputs) for part in self.parts], dim=1)


class ModelPart(nn.Module):
    """Runs what a model needs for some of its targets.

    Gates and towers are called one by one: vmapped, a scatter fixes the size of the batch. So are
    experts, each for the examples that some target weighs it above 0 for.
    """

    def __init__(self, model: Model, of: Sequence[int], *, dense: bool) -> None:
        """Take a model over.

        Args:
            model: A trained one.
            of: The targets.
            dense: Compute every expert for every example.
        """
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.of, self.dense = of, dense

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the targets' outputs side by side, ``(batch, columns)``.

        Args:
            inputs: ``(batch, ...)``, as the task's splits hold them.
        """
        features = self.model.bottom(inputs)
        if self.model.gate_reads_experts:  # all of them are computed before any is selected
            parts = self._parts(features)
            weights = self._weights(self.model.of_experts(parts))
            return self._outputs(torch.einsum("tbn,nbd->tbd", weights, parts))
        weights = self._weights(self.model.gate_input(features))
        mix = self._mix_all if self.dense else self._mix_selected
        return self._outputs(mix(features, weights))

    def as_trained(self, inputs: Tensor) -> Tensor:
        """Return the same as the model computes it."""
        groups = self.model.split_groups(self.model(inputs).groups)
        return torch.cat([groups[target] for target in self.of], dim=1)

    def _weights(self, gate_input: Tensor) -> Tensor:
        gates = self.model.mixture.gates
        return torch.stack([gates.call_one(target, gate_input).weights for target in self.of])

    def _mix_all(self, features: Tensor, weights: Tensor) -> Tensor:
        return torch.einsum("tbn,nbd->tbd", weights, self._parts(features))

    def _parts(self, features: Tensor) -> Tensor:
        experts = self.model.mixture.experts
        return torch.stack([experts.call_one(expert, features) for expert in range(experts.size)])

    def _mix_selected(self, features: Tensor, weights: Tensor) -> Tensor:
        """Do the same, computing each expert only for the examples that weigh it above 0.

        A weight that is NaN counts as above, and examples with features that are NaN or infinite
        are for every expert: 0 times NaN is NaN, which the output must be too, and not a number.
        """
        mixed: Tensor | None = None
        odd = ~features.isfinite().unsqueeze(-1).flatten(1).all(1)
        chosen = (~(weights <= 0)).any(0) | odd.unsqueeze(-1)
        for expert, used in enumerate(chosen.unbind(-1)):
            rows = used.nonzero().squeeze(-1)
            part = self.model.mixture.experts.call_one(expert, features[rows])
            if mixed is None:
                mixed = part.new_zeros((*weights.shape[:2], part.shape[-1]))
            mixed.index_add_(1, rows, weights[:, rows, expert, None] * part)
        assert mixed is not None  # there is an expert
        return mixed

    def _outputs(self, mixed: Tensor) -> Tensor:
        places = {
            target: (cast(Stack, tower), index)
            for tower, group in zip(self.model.towers, self.model.groups, strict=True)
            for index, target in enumerate(group)
        }
        parts = []
        for target, own in zip(self.of, mixed, strict=True):
            tower, index = places[target]
            parts.append(tower.call_one(index, own))
        return torch.cat(parts, dim=1)


def columns(targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return what the columns of a :class:`Predictor` are, target by target, as plain values.

    ``columns`` are the first one and the one after the last; ``names`` those of a target of
    several, and ``classes`` those of 0, 1, ..., where the task names them.
    """
    found: list[dict[str, Any]] = []
    first = 0
    for target in targets:
        end = first + target.out_features
        what = {"kind": target.kind, "activation": ACTIVATIONS[target.kind]}
        named = {"names": [*target.columns], "classes": [*target.classes]}
        named = {key: names for key, names in named.items() if names}
        found.append({"target": target.name, "columns": [first, end], **what, **named})
        first = end
    return found
