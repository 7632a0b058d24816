"""Gossip: every target is an agent with its own copy, and hears its neighbours at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor

from gatelab.training.learners.graphs import is_connected, mixing_matrix, second_singular_value
from gatelab.training.learners.learner import (
    Learner,
    LearnerOption,
    RowOrder,
    order_faults,
    register_learner,
)
from gatelab.training.learners.shared import Shared
from gatelab.training.members import Members


@register_learner("gossip")
class Gossip(Learner):
    """Decentralised stochastic approximation: agents average with neighbours, and step alone.

    Source: Zeng, Doan and Romberg, Finite-time convergence rates of decentralized stochastic
    approximation with applications in multi-agent and multi-task learning, CDC 2021 (arXiv
    2010.15088): theta_i <- sum_j W_ij theta_j - alpha_k F_i(X_i, theta_i). Agent i is target i,
    theta_i what targets share of a model, in its copy (bottom, what gates read, experts), F_i the
    gradient of its loss on a batch of its own running chain of rows, W doubly stochastic. Gates
    and towers are each agent's own.
    """

    agents = True
    given = (
        "a model for each target, which learns from that target's loss alone and hears of the "
        "others by averages of bottom and experts"
    )
    hyperparameters = MappingProxyType(
        {
            "graph": LearnerOption(
                "complete",
                "who averages with whom: complete, ring, torus, none, or a doubly stochastic "
                'matrix such as "0.5 0.5; 0.5 0.5"',
            ),
            "rows": LearnerOption(
                "own", "own: each agent reads the rows in an order of its own; shared: all in one"
            ),
            "correlation": LearnerOption(
                0.0,
                "in [0, 1): the chance that an agent's next row is the one before it again; 0: "
                "each row once a pass",
            ),
        }
    )
    diagnostics = MappingProxyType(
        {
            "consensus_error": "Sum over agents of the squared distance of bottom and experts to "
            "the agents' mean",
            "mean_loss": "Loss with the agents' mean as bottom and experts of all of them, beside "
            "`test/loss` of each agent's own",
        }
    )

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Make the matrix, which all members have in common: a graph is part of a structure."""
        super().__init__(options, shared)
        self.graph: str = options[0]["graph"]
        self._matrix: Tensor | None = None

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return whether the graph, the order or its correlation is none."""
        correlation, faults = options["correlation"], order_faults(options["rows"])
        try:
            mixing_matrix(options["graph"], num_targets)
        except ValueError as error:
            faults["graph"] = str(error)
        if not 0 <= correlation < 1:
            faults["correlation"] = f"`0 <= correlation < 1` must hold, but got ({correlation=})."
        return faults

    @classmethod
    def remarks(cls, options: Mapping[str, Any], num_targets: int, steps: int) -> list[str]:
        """Return whether there are agents that never come together."""
        matrix = mixing_matrix(options["graph"], num_targets)
        named = f"`graph: {options['graph']}`"
        if not is_connected(matrix):
            return [f"{named} is not connected: agents of different parts never hear of each other"]
        if second_singular_value(matrix) > 1 - 1e-9:
            return [f"{named} has a second singular value of 1: agents do not come together"]
        return []

    @classmethod
    def order(cls, options: Mapping[str, Any]) -> RowOrder:
        """Return what the options say of it."""
        return RowOrder(options["rows"] == "own", options["correlation"])

    def before_step(self, members: Members) -> None:
        """Average with neighbours: the gradients, of where agents were, are followed from there."""
        if self.graph != "none":
            self.shared.mix(members, self._placed(members.flat))

    def facts(self, members: Members) -> dict[str, Tensor]:
        """Return how far the agents are apart."""
        return {"consensus_error": self.shared.spread(members)}

    def beside(self, members: Members) -> dict[str, Members]:
        """Return the agents' mean, in each agent's place."""
        return {"mean_loss": self.shared.mean_of(members)}

    def _placed(self, like: Tensor) -> Tensor:
        """Return the matrix on the device, put there once: a step must not wait for a copy."""
        if self._matrix is None or self._matrix.dtype != like.dtype:
            self._matrix = mixing_matrix(self.graph, self.shared.copies).to(like)
        return self._matrix
