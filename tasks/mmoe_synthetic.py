"""Two regression targets whose relatedness is set: the synthetic data of MMoE."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from gatelab.rules import check_not_negative
from gatelab.tasks.layers import DefaultPrecision, mlp_network
from gatelab.tasks.streams import rows_by_split, stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task, register_task

Doubles = npt.NDArray[np.float64]


@register_task("mmoe_synthetic")
class MMoESynthetic(Task):
    """Two regression targets, made from weights whose cosine is the given correlation.

    With orthogonal unit vectors u1 and u2, and x of standard normal numbers::

        w1 = scale * u1
        w2 = scale * (correlation * u1 + sqrt(1 - correlation**2) * u2)
        y_i = w_i x + sum_j sin(alpha_j w_i x + beta_j) + noise

    The sines, common to both targets, make them nonlinear, so that the correlation of the targets
    is not that of the weights, but grows with it. Source: Ma et al., "Modeling Task Relationships
    in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018, section 3.2, which leaves
    alpha and beta open: here alpha_j is j, and beta_j is drawn from [0, 2 pi).
    """

    targets = (Target("first", "regression"), Target("second", "regression"))
    draws_anew: ClassVar[bool] = True
    source = "Drawn from random weights; no file is read."
    licence = "None is needed: nobody else's data are in it."

    def __init__(
        self,
        *,
        correlation: float = 0.5,
        in_features: int = 100,
        sines: int = 4,
        scale: float = 1.0,
        noise: float = 0.1,
        train_rows: int = 10_000,
        val_rows: int = 2_000,
        test_rows: int = 2_000,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set what is planted; rows are made when a split is asked for.

        Args:
            correlation: The cosine of both targets' weights, in [-1, 1].
            in_features: The number of inputs, at least 2.
            sines: How many sines each target has, at least 0.
            scale: The length of a target's weights, above 0.
            noise: The deviation of the noise, at least 0.
            train_rows: The number of rows to train on, at least 1; so for the others.
            val_rows: The number of rows to validate on.
            test_rows: The number of rows to test on.
            seed: Of the weights, the phases and the rows, at least 0.
            split_seed: Of other rows, at least 0.

        Raises:
            ValueError: If an option is outside its range.
        """
        if not -1 <= correlation <= 1:
            raise ValueError(f"`-1 <= correlation <= 1` must hold, but got ({correlation=}).")
        if not in_features >= 2:
            raise ValueError(f"`in_features >= 2` must hold, but got ({in_features=}).")
        if not 0 < scale < float("inf"):
            raise ValueError(f"`0 < scale < inf` must hold, but got ({scale=}).")
        if not 0 <= noise < float("inf"):
            raise ValueError(f"`0 <= noise < inf` must hold, but got ({noise=}).")
        self._rows = rows_by_split(train_rows, val_rows, test_rows)
        check_not_negative(sines=sines, seed=seed, split_seed=split_seed)
        self.correlation, self.scale, self.noise = correlation, scale, noise
        self.in_features, self.sines = in_features, sines
        self.seed, self.split_seed = seed, split_seed

    def split(self, name: SplitName) -> Split:
        """Return inputs ``(rows, in_features)`` and targets ``(rows, 2)``, all float32."""
        own = stream(name, self.seed, self.split_seed)
        inputs = own.standard_normal((self._rows[name], self.in_features))
        targets = self.noiseless(inputs)
        targets += self.noise * own.standard_normal(targets.shape)
        return Split(
            torch.from_numpy(inputs.astype(np.float32)),
            torch.from_numpy(targets.astype(np.float32)),
        )

    def noiseless(self, inputs: Doubles) -> Doubles:
        """Return both targets ``(rows, 2)`` without noise for ``(rows, in_features)``."""
        weights, phases = self._drawn
        linear = inputs @ weights.T
        frequencies = np.arange(1, self.sines + 1)
        waves = np.sin(linear[:, :, None] * frequencies + phases)
        found: Doubles = linear + waves.sum(2)
        return found

    @cached_property
    def _drawn(self) -> tuple[Doubles, Doubles]:
        """The targets' weights ``(2, in_features)`` and the sines' phases ``(sines,)``."""
        common = stream("common", self.seed)
        first, other = common.standard_normal((2, self.in_features))
        first /= np.linalg.norm(first)
        other -= (other @ first) * first
        other /= np.linalg.norm(other)
        across = np.sqrt(1 - self.correlation**2)
        weights = self.scale * np.stack([first, self.correlation * first + across * other])
        return weights, common.uniform(0, 2 * np.pi, self.sines)

    def network(
        self,
        *,
        expert_width: int = 16,
        expert_depth: int = 1,
        tower_width: int = 8,
        dropout: float = 0.0,
    ) -> Network:
        """Return MLP experts and towers of the published sizes; the gates read the inputs too.

        Args:
            expert_width: The number of units of each of an expert's layers, at least 1.
            expert_depth: The number of an expert's layers, at least 1.
            tower_width: The number of units of a tower's hidden layer, at least 1.
            dropout: The share of an expert's units dropped in training, in [0, 1).

        Raises:
            ValueError: If a value is outside its range.
        """
        return mlp_network(
            DefaultPrecision,
            self.in_features,
            expert_width=expert_width,
            expert_depth=expert_depth,
            tower_width=tower_width,
            dropout=dropout,
        )
