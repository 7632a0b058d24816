"""Regression targets in planted groups, each group made by teacher experts of its own."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from gatelab.rules import check_counts, check_not_negative
from gatelab.tasks.layers import DefaultPrecision, mlp_network
from gatelab.tasks.streams import rows_by_split, stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Regimes, Split, SplitName, Task, Truth, register_task
from gatelab.tasks.teachers import Array, PlantedGroups, planted_groups


@register_task("synthetic_groups")
class SyntheticGroups(Task):
    """Regression with a known answer: which targets belong together, and on which experts.

    Targets are divided into groups of neighbours, as even as can be, and teacher experts, random
    tanh networks of a standard normal input, are divided between the groups. All outputs of all
    teachers are uncorrelated, with mean 0 and deviation 1. A target is the product of its group's
    outputs, side by side, with a unit vector of its own::

        w_t = sqrt(correlation) * u_group + sqrt(1 - correlation) * v_t

    where ``u_group``, with equal shares in each of the group's experts, and every ``v_t`` of the
    group are orthonormal; experts have as many outputs as that takes, so one expert a group will
    do. Before noise, then, a target has mean 0 and deviation 1, two of a group correlate by exactly
    ``correlation`` and two of different groups by 0, up to the error of a finite sample. Noise
    divides correlations by ``1 + noise**2``, which is also the variance of a target.

    With ``regimes``, that holds within each of so many regions of the input, which are told apart
    by the signs of log2(regimes) orthogonal directions: in regime r the targets of group g are made
    from the teachers of group g + r, so that every target changes its teachers at every border.
    Who selects by the example can follow; correlations are then only nearly those above, since
    teachers are uncorrelated over all inputs, not over half of them.

    Where ``in_features`` is small beside the number of targets, the inputs have no room for that
    many smooth uncorrelated functions; the later teachers then oscillate and are hard to learn.
    """

    source = "Drawn from random teachers; no file is read."
    licence = "None is needed: nobody else's data are in it."
    draws_anew: ClassVar[bool] = True

    def __init__(
        self,
        *,
        num_targets: int = 8,
        num_groups: int = 2,
        experts_per_group: int = 2,
        in_features: int = 16,
        noise: float = 0.1,
        correlation: float = 0.9,
        regimes: int = 1,
        train_rows: int = 4096,
        val_rows: int = 1024,
        test_rows: int = 1024,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set the planted structure; teachers and rows are made when a split is asked for.

        Args:
            num_targets: The number of targets, in [2, 128].
            num_groups: The number of groups, in [1, num_targets].
            experts_per_group: The number of teacher experts of each group, at least 1.
            in_features: The number of inputs, at least 1.
            noise: The deviation of the noise added to targets of deviation 1, at least 0.
            correlation: That of two noise-free targets of a group, in [0, 1].
            regimes: The number of regions with an assignment of groups to teachers of its own, a
                power of two in [1, num_groups].
            train_rows: The number of rows to train on, at least 1; so for the others.
            val_rows: The number of rows to validate on.
            test_rows: The number of rows to test on.
            seed: Of the teachers and the rows, at least 0.
            split_seed: Of other rows of the same teachers, at least 0.

        Raises:
            ValueError: If an option is outside its range.
        """
        if not 2 <= num_targets <= 128:
            raise ValueError(f"`2 <= num_targets <= 128` must hold, but got ({num_targets=}).")
        if not 1 <= num_groups <= num_targets:
            raise ValueError(
                "`1 <= num_groups <= num_targets` must hold, "
                f"but got ({num_groups=}, {num_targets=})."
            )
        check_counts(experts_per_group=experts_per_group, in_features=in_features)
        self._rows = rows_by_split(train_rows, val_rows, test_rows)
        if not 0 <= noise < float("inf"):
            raise ValueError(f"`0 <= noise < inf` must hold, but got ({noise=}).")
        if not 0 <= correlation <= 1:
            raise ValueError(f"`0 <= correlation <= 1` must hold, but got ({correlation=}).")
        check_not_negative(seed=seed, split_seed=split_seed)
        _check_regimes(regimes, num_groups, in_features)
        self.in_features, self.noise, self.correlation = in_features, noise, correlation
        self.experts_per_group = experts_per_group
        self.seed, self.split_seed = seed, split_seed
        self.targets = tuple(Target(f"t{i:03}", "regression") for i in range(num_targets))
        self.regimes, self.num_groups = regimes, num_groups
        self._groups = tuple(target * num_groups // num_targets for target in range(num_targets))

    def split(self, name: SplitName) -> Split:
        """Return inputs ``(rows, in_features)`` and targets ``(rows, targets)``, all float32."""
        own = stream(name, self.seed, self.split_seed)
        inputs = own.standard_normal((self._rows[name], self.in_features))
        signals = self.signals(inputs)
        targets = signals + self.noise * own.standard_normal(signals.shape)
        return Split(
            torch.from_numpy(inputs.astype(np.float32)),
            torch.from_numpy(targets.astype(np.float32)),
        )

    def signals(self, inputs: Array) -> Array:
        """Return the targets ``(rows, targets)`` without noise for ``(rows, in_features)``."""
        teachers, weights, _ = self._planted
        outputs = np.stack([teacher(inputs) for teacher in teachers])
        found = np.empty((len(inputs), len(weights)))
        regime = self.regime(inputs)
        for number in range(self.regimes):
            rows = regime == number
            for target, mixing in enumerate(weights):
                made = outputs[sorted(self._experts(target, number))][:, rows]
                found[rows, target] = np.einsum("ero,eo->r", made, mixing)
        return found

    def regime(self, inputs: Array) -> npt.NDArray[np.int64]:
        """Return the number of the regime ``(rows,)`` in which inputs ``(rows, in_features)`` lie.

        Its bits, the least first, are the sides of the directions.
        """
        directions = self._planted.directions
        sides = inputs @ directions.T > 0
        number: npt.NDArray[np.int64] = sides @ (1 << np.arange(len(directions)))
        return number

    def network(
        self,
        *,
        expert_width: int = 32,
        expert_depth: int = 2,
        tower_width: int = 16,
        dropout: float = 0.0,
    ) -> Network:
        """Return MLP experts and towers on the inputs as they are, which the gates read too.

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

    @cached_property
    def truth(self) -> Truth:  # type: ignore[override]
        """The groups, and the teacher experts of each target, by regime where there are several."""
        by_regime = tuple(
            tuple(self._experts(target, number) for target in range(len(self.targets)))
            for number in range(self.regimes)
        )
        if self.regimes == 1:
            return Truth(self._groups, by_regime[0])
        directions = tuple(tuple(row) for row in self._planted.directions.tolist())
        union = tuple(frozenset().union(*sets) for sets in zip(*by_regime, strict=True))
        return Truth(self._groups, union, Regimes(directions, by_regime))

    def _experts(self, target: int, regime: int) -> frozenset[int]:
        """Return the teacher experts of a target in a regime."""
        first = (self._groups[target] + regime) % self.num_groups * self.experts_per_group
        return frozenset(range(first, first + self.experts_per_group))

    @property
    def _planted(self) -> PlantedGroups:
        sizes = tuple(np.bincount(self._groups).tolist())
        return planted_groups(
            self.seed,
            sizes,
            self.experts_per_group,
            self.in_features,
            self.correlation,
            self.regimes,
        )


def _check_regimes(regimes: int, num_groups: int, in_features: int) -> None:
    """Check that there is a region, and an assignment of its own, for each regime.

    Raises:
        ValueError: If there is not.
    """
    if not 1 <= regimes <= num_groups or regimes & (regimes - 1):
        raise ValueError(
            "`1 <= regimes <= num_groups` must hold, and `regimes` be a power of two, "
            f"but got ({regimes=}, {num_groups=})."
        )
    if regimes > 2**in_features:
        raise ValueError(
            f"`regimes <= 2**in_features` must hold, but got ({regimes=}, {in_features=})."
        )
