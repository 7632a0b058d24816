"""The units of targets, which a model of tensors gives its values in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatelab.sweeps.export.predictor import Predictor
from gatelab.tasks.target import Target


class InUnits(nn.Module):
    """Runs a predictor, and undoes the scale and offset that its targets are learnt by."""

    scale: Tensor
    offset: Tensor

    def __init__(self, predictor: Predictor) -> None:
        """Take over a predictor."""
        super().__init__()
        self.predictor = predictor
        units = [unit for it in predictor.targets for unit in units_of(it, it.out_features)]
        for name, numbers in zip(("scale", "offset"), zip(*units, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs side by side, ``(batch, columns)`` float64.

        Args:
            inputs: ``(batch, ...)``, as the task's splits hold them.
        """
        values: Tensor = self.predictor(inputs).double() * self.scale + self.offset
        return values

    def standardised(self, values: Tensor) -> Tensor:
        """Return values as the predictor gives them, in which errors compare."""
        return (values - self.offset) / self.scale


def units_of(target: Target, count: int) -> list[tuple[float, float]]:
    """Return scale and offset of each of the values that a target gives."""
    scales, offsets = (
        it if isinstance(it, tuple) else (it,) * count for it in (target.scale, target.offset)
    )
    return list(zip(scales, offsets, strict=True))
