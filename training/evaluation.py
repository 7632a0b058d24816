"""A pass over a split without gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.tasks.task import Split
from gatelab.training.copies import ALONE, Copies
from gatelab.training.members import Members, Tensors
from gatelab.training.model import Model
from gatelab.training.precision import tensor_cores
from gatelab.training.weighting import loss_factors

ROWS_AT_ONCE = 16_384
"""How many rows are computed at once, of all members together."""
ROWS_ON_GPU = 131_072
"""The same on a GPU, which a smaller part would leave idle while it is launched."""

Pass = tuple[tuple[Tensor, ...], Tensor, dict[str, Tensor]]
"""Outputs by group ``(members, targets, rows, out_features)``, weights ``(members, targets, rows,
num_experts)`` and diagnostics ``(members, targets)``."""


class Evaluation(NamedTuple):
    """What one member gave for a split, where it was computed; losses are on the CPU."""

    outputs: tuple[Tensor, ...]
    """Every target's, ``(rows, out_features)``."""
    weights: Tensor
    """``(targets, rows, num_experts)``"""
    losses: Tensor
    """Every target's mean loss over its known rows, ``(targets,)``, weighted where they are."""
    loss: float
    """Their weighted sum, without aux losses."""
    diagnostics: dict[str, Tensor]
    """What the gates say of themselves, ``(targets,)`` by name."""
    known: Tensor | None = None
    """The rows of which a target's value is known, ``(targets, rows)``; by default all."""
    unweighted_losses: Tensor | None = None
    """Where any is weighted, the losses with all known rows counting alike, ``(targets,)``."""
    unweighted_loss: float | None = None
    """Their sum, weighted by the targets alone."""
    learner: Mapping[str, float] = {}
    """What the learner says of the member, by name."""

    def cpu(self) -> Evaluation:
        """Return it with everything on the CPU."""
        known = None if self.known is None else self.known.cpu()
        outputs, weights = tuple(each.cpu() for each in self.outputs), self.weights.cpu()
        return self._replace(outputs=outputs, weights=weights, known=known)


@torch.no_grad()
@tensor_cores(False)
def evaluate(
    members: Members, model: Model, split: Split, copies: Copies = ALONE
) -> list[Evaluation]:
    """Return what every member gives for a split that lies on its device.

    Args:
        members: A row for each copy of each member.
        model: That they are called as.
        split: Of the task.
        copies: Of each member.
    """
    groups, weights, diagnostics = _together(pass_over(members, model, split.inputs), model, copies)
    rows = torch.vmap(model.row_losses, (0, None))(groups, split.targets)
    unweighted = losses = _losses(model, rows, split)
    factors = loss_factors(model.targets, split)
    if factors is not None:
        losses = _losses(model, rows * factors.to(rows.dtype).mT, split)
    known = None if split.mask is None else split.mask.mT
    diagnostics = {name: values.cpu() for name, values in diagnostics.items()}
    return [
        Evaluation(
            model.split_groups([group[member] for group in groups]),
            weights[member],
            losses[member],
            float(model.task_loss(losses[member])),
            {name: values[member] for name, values in diagnostics.items()},
            known,
            *(
                ()
                if factors is None
                else (unweighted[member], float(model.task_loss(unweighted[member])))
            ),
        )
        for member in range(len(weights))
    ]


def _together(found: Pass, model: Model, copies: Copies) -> Pass:
    """Return what members give, of what their copies gave."""
    (groups, weights, diagnostics), every = found, range(len(model.targets))
    return (
        tuple(copies.of_targets(g, of) for g, of in zip(groups, model.groups, strict=True)),
        copies.of_targets(weights, every),
        {name: copies.of_targets(values, every) for name, values in diagnostics.items()},
    )


def _losses(model: Model, rows: Tensor, split: Split) -> Tensor:
    """Return the targets' losses ``(members, targets)`` of rows' ``(members, targets, rows)``."""
    return torch.vmap(model.target_losses, (0, None))(rows, split.mask).cpu()


@torch.no_grad()
def pass_over(members: Members, model: Model, inputs: Tensor) -> Pass:
    """Return what all members give for rows, in evaluation mode and without gradients.

    Computed in parts, so that memory grows neither with rows nor with members times hidden layers.
    """
    model.eval()

    def outputs(tensors: Tensors, part: Tensor) -> Pass:
        result = functional_call(model, tensors, (part,), tie_weights=members.tied)
        return result.groups, result.routing.weights, dict(result.routing.diagnostics)

    parts: list[Pass] = [
        members.call(outputs, (), (part,)) for part in parts_of(inputs, len(members))
    ]
    groups = tuple(torch.cat(group, dim=2) for group in zip(*(p[0] for p in parts), strict=True))
    weights = torch.cat([p[1] for p in parts], dim=2)
    return groups, weights, _mean([p[2] for p in parts], [p[1].shape[2] for p in parts])


def parts_of(inputs: Tensor, members: int) -> Sequence[Tensor]:
    """Return rows in the parts in which members compute them: as few as may be, of equal sizes.

    So none is of a row or two, with which some networks cannot do.
    """
    together = ROWS_ON_GPU if inputs.device.type == "cuda" else ROWS_AT_ONCE
    rows = max(1, together // members)
    return inputs.tensor_split(max(1, -(-len(inputs) // rows)))


def _mean(parts: Sequence[dict[str, Tensor]], rows: Sequence[int]) -> dict[str, Tensor]:
    """Return the mean of diagnostics over parts of so many rows."""
    means = {}
    for name in parts[0]:
        stacked = torch.stack([part[name] for part in parts])
        shares = torch.tensor(rows, dtype=stacked.dtype, device=stacked.device) / sum(rows)
        means[name] = torch.einsum("p,p...->...", shares, stacked)
    return means
