"""A task's splits on the device where members train, without what is unknown."""

from __future__ import annotations

import torch

from gatelab.tasks.columns import mask_of_columns
from gatelab.tasks.task import Split, SplitName, Task


class PlacedSplits:
    """Puts splits on a device, each when it is first asked for."""

    def __init__(self, task: Task, device: torch.device) -> None:
        """Put those of a task on a device."""
        self.task, self.device = task, device
        self._placed: dict[SplitName, Split] = {}

    def get(self, name: SplitName) -> Split:
        """Return a split, with 0 in place of targets that are unknown."""
        if name not in self._placed:
            self._placed[name] = self._place(self.task.data(name))
        return self._placed[name]

    def _place(self, split: Split) -> Split:
        inputs, targets, mask, weights = split
        if mask is not None:
            # NaN marks what is unknown in many data sets: it is no class, and its gradient
            # would stay NaN when multiplied by 0.
            known = mask_of_columns(self.task.targets, mask)
            targets = torch.where(known, targets, torch.zeros_like(targets))
            mask = mask.to(self.device)
        weights = None if weights is None else weights.to(self.device)
        return Split(inputs.to(self.device), targets.to(self.device), mask, weights)
