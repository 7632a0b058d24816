"""A configuration: the hyperparameters of one model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

TARGET_WEIGHTS = "target_weights"
"""Under which, with a dot and a target's name, its weight in what is minimised is recorded."""
LEARNER = "learner"
"""Under which the learner is recorded, and with a dot and a name, its hyperparameters."""


@dataclass(frozen=True)
class Configuration:
    """The hyperparameters of one model, by the dotted names under which they are recorded."""

    values: Mapping[str, Any]
    """``gate.k``, ``model.num_experts``, ``optimizer.learning_rate`` and so on."""

    @classmethod
    def of(
        cls,
        gate: Mapping[str, Any],
        model: Mapping[str, Any],
        optimizer: Mapping[str, Any],
        training: Mapping[str, Any] | None = None,
    ) -> Configuration:
        """Return the configuration of these parts, which have the names of the properties."""
        parts = {"gate": gate, "model": model, "optimizer": optimizer, "training": training or {}}
        return cls({f"{part}.{name}": v for part, of in parts.items() for name, v in of.items()})

    @property
    def gate(self) -> dict[str, Any]:
        """The gate's own."""
        return self._part("gate.")

    @property
    def model(self) -> dict[str, Any]:
        """``num_experts`` and the network's."""
        return self._part("model.")

    @property
    def num_experts(self) -> int:
        """How many experts a model has, unless its gate brings a number of its own."""
        return int(self.values["model.num_experts"])

    @property
    def network(self) -> dict[str, Any]:
        """The network's own: the model's without ``num_experts``."""
        return {name: value for name, value in self.model.items() if name != "num_experts"}

    @property
    def optimizer(self) -> dict[str, Any]:
        """``name``, ``learning_rate``, ``weight_decay`` and the optimiser's own."""
        return self._part("optimizer.")

    @property
    def training(self) -> dict[str, Any]:
        """``schedule``, ``warmup``, ``gradient_clip``: those that are not the default."""
        found = self._part("training.").items()
        return {name: v for name, v in found if not name.startswith(f"{TARGET_WEIGHTS}.")}

    @property
    def target_weights(self) -> dict[str, float]:
        """By target the factor of its loss in what is minimised, where it is not the target's."""
        return self._part(f"training.{TARGET_WEIGHTS}.")

    @property
    def learner(self) -> str:
        """The learner's key in the registry; empty: the default."""
        return str(self.values.get(LEARNER, ""))

    @property
    def learner_options(self) -> dict[str, Any]:
        """The learner's own, as far as they are said."""
        return self._part(f"{LEARNER}.")

    def _part(self, start: str) -> dict[str, Any]:
        found = self.values.items()
        return {name.removeprefix(start): v for name, v in found if name.startswith(start)}

    def structure(self) -> Hashable:
        """Return what two members must share to train together.

        All but a gate's and a learner's real values, and the optimiser's numbers.
        """
        gate = {name: v for name, v in self.gate.items() if not isinstance(v, float)}
        learner = {n: v for n, v in self.learner_options.items() if not isinstance(v, float)}
        optimizer = self.optimizer.get("name")
        parts = (sorted(gate.items()), sorted(self.model.items()), optimizer)
        own = (self.learner, sorted(learner.items())) if self.learner else ()
        return repr((*parts, *own))
