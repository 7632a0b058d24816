"""The graph of a table's model: raw numbers and ids in, values in the user's units out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatelab.sweeps.export.predictor import Predictor
from gatelab.sweeps.export.units import units_of
from gatelab.tasks.tables.fitted import Fitted
from gatelab.tasks.target import Target


class RawGraph(nn.Module):
    """Imputes, flags and standardises in float64 as in training, and undoes it for targets."""

    fill: Tensor
    mean: Tensor
    deviation: Tensor
    flagged: Tensor

    def __init__(self, predictor: Predictor, fitted: Fitted) -> None:
        """Take over a model, and what is fitted to its table's train rows."""
        super().__init__()
        self.predictor = predictor
        self.targets = predictor.targets
        fits = list(fitted.numbers.values())
        double = torch.float64
        self.register_buffer("fill", torch.tensor([it.fill for it in fits], dtype=double))
        self.register_buffer("mean", torch.tensor([it.scale.mean for it in fits], dtype=double))
        deviations = [it.scale.deviation for it in fits]
        self.register_buffer("deviation", torch.tensor(deviations, dtype=double))
        flagged = [place for place, it in enumerate(fits) if it.flagged]
        self.register_buffer("flagged", torch.tensor(flagged, dtype=torch.long))

    def forward(self, cells: Tensor) -> Tensor:
        """Return ``(batch, values)`` float64, of which :func:`value_names` has the names.

        Args:
            cells: ``(batch, features)`` float64: numbers, NaN where one is missing, then ids.
        """
        return values_of(self.targets, self.predictor(self.inputs(cells)))

    def inputs(self, cells: Tensor) -> Tensor:
        """Return cells as the task's splits hold them, float32."""
        numbers, ids = cells[:, : len(self.fill)], cells[:, len(self.fill) :]
        gaps = numbers.isnan()
        scaled = (torch.where(gaps, self.fill, numbers) - self.mean) / self.deviation
        return torch.cat([scaled, gaps[:, self.flagged].double(), ids], 1).float()


def values_of(targets: Sequence[Target], outputs: Tensor) -> Tensor:
    """Return a model's outputs ``(batch, columns)`` as chances and values in the user's units.

    In float64, ``(batch, values)``: of a binary target the chance of 0 and that of 1.
    """
    parts = outputs.double().split([target.out_features for target in targets], 1)
    return torch.cat([_value(*pair) for pair in zip(targets, parts, strict=True)], 1)


def _value(target: Target, outputs: Tensor) -> Tensor:
    if target.kind == "regression":
        return target.in_unit(outputs)
    logits = torch.cat([-outputs / 2, outputs / 2], 1) if target.kind == "binary" else outputs
    return logits.softmax(1)


def value_names(targets: Sequence[Target]) -> list[str]:
    """Return what the columns of :func:`values_of` are called: ``income=yes``, ``weeks``.

    Those of a target of several columns are called ``position[x]``.
    """
    return [name for target in targets for name in _names(target)]


def _names(target: Target) -> list[str]:
    if target.width > 1:
        return [f"{target.name}[{it}]" for it in target.columns or range(target.width)]
    return [f"{target.name}={it}" for it in target.classes] or [target.name]


def standardised_values(targets: Sequence[Target], values: Tensor) -> Tensor:
    """Return values ``(batch, values)`` in the units of training, in which errors compare."""
    units = [unit for target in targets for unit in units_of(target, len(_names(target)))]
    scale, offset = torch.tensor(units, dtype=torch.float64).unbind(1)
    return (values - offset) / scale
