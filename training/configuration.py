"""A configuration: the hyperparameters of one model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Configuration:
    """The hyperparameters of one model."""

    gate: dict[str, Any]
    model: dict[str, Any]
    """``num_experts`` and the network's."""
    optimizer: dict[str, Any]
    """``name``, ``learning_rate``, ``weight_decay``."""

    def flat(self) -> dict[str, Any]:
        """Return all of them by dotted name: ``gate.k``, ``optimizer.learning_rate``."""
        return {
            f"{part}.{name}": value
            for part in ("gate", "model", "optimizer")
            for name, value in getattr(self, part).items()
        }

    def structure(self) -> Hashable:
        """Return what two models must share to be stacked: all but a gate's real values."""
        gate = {name: v for name, v in self.gate.items() if not isinstance(v, float)}
        return repr((sorted(gate.items()), sorted(self.model.items())))
