"""A generated recommender in a production one's shape: planted clusters of users and of items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from gatelab.rules import check_counts, check_not_negative
from gatelab.tasks.data_sets.made import Forms, made_once
from gatelab.tasks.layers import UserAndItem, mlp_network
from gatelab.tasks.recommender_world import GROUPS, RECIPE, World, drawn_often, planted_world
from gatelab.tasks.streams import rows_by_split, stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task, Truth, register_task

ROWS_A_PIECE = 2**16


@register_task("recommender_8")
class Recommender8(Task):
    """Eight targets of a user and an item: four of engagement, four of satisfaction.

    Users and items lie in planted clusters: each is sqrt(1 - spread) times its cluster's centre and
    sqrt(spread) times numbers of its own, all standard normal. A target's signal is a bilinear
    form of a user's and an item's numbers, standardised, and the form is sqrt(correlation) times
    its group's and sqrt(1 - correlation) times one of its own. Binary targets are drawn with
    log-odds of twice the signal and a constant by which the rates are those of a recommender;
    regression targets are the signal and noise. Users and items have a long tail, and satisfaction
    is known of those alone who were asked. The shape (8 targets of engagement and satisfaction,
    classification and regression) is that of the recommender in Hazimeh et al., "DSelect-k",
    NeurIPS 2021, section 5, whose data are not public; all else is ours.
    """

    targets = (
        Target("click", "binary"),
        Target("like", "binary"),
        Target("share", "binary"),
        Target("minutes", "regression"),
        Target("satisfied", "binary"),
        Target("recommends", "binary"),
        Target("rating", "regression"),
        Target("visits", "regression"),
    )
    source = "Drawn from planted clusters; no file is read."
    licence = "None is needed: nobody else's data are in it."
    draws_anew: ClassVar[bool] = True
    truth = Truth(GROUPS)

    def __init__(
        self,
        *,
        users: int = 20_000,
        items: int = 5_000,
        user_clusters: int = 8,
        item_clusters: int = 8,
        spread: float = 0.3,
        correlation: float = 0.8,
        noise: float = 0.5,
        asked: float = 0.3,
        train_rows: int = 2_000_000,
        val_rows: int = 200_000,
        test_rows: int = 200_000,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set what is planted; rows are made once a machine, when a split is first asked for.

        Args:
            users: How many there are, at least 1; so for the items.
            items: How many there are.
            user_clusters: In how many clusters users lie, in [1, users].
            item_clusters: In how many items lie, in [1, items].
            spread: The share of a user's and an item's variance that is not its cluster's, in
                [0, 1].
            correlation: Of the forms of two targets of a group, in [0, 1].
            noise: The deviation of the noise of regression targets, at least 0.
            asked: The share of rows in which satisfaction is known, in (0, 1].
            train_rows: The number of rows to train on, at least 1; so for the others.
            val_rows: The number of rows to validate on.
            test_rows: The number of rows to test on.
            seed: Of the clusters, the forms and the rows, at least 0.
            split_seed: Of other rows of the same world, at least 0.

        Raises:
            ValueError: If an option is outside its range.
        """
        check_counts(users=users, items=items)
        check_counts(user_clusters=user_clusters, item_clusters=item_clusters)
        if user_clusters > users or item_clusters > items:
            raise ValueError(
                "`user_clusters <= users` and `item_clusters <= items` must hold, "
                f"but got ({user_clusters=}, {users=}, {item_clusters=}, {items=})."
            )
        for name, share in {"spread": spread, "correlation": correlation}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"`0 <= {name} <= 1` must hold, but got ({name}={share}).")
        if not 0 <= noise < float("inf"):
            raise ValueError(f"`0 <= noise < inf` must hold, but got ({noise=}).")
        if not 0 < asked <= 1:
            raise ValueError(f"`0 < asked <= 1` must hold, but got ({asked=}).")
        check_not_negative(seed=seed, split_seed=split_seed)
        self._rows = rows_by_split(train_rows, val_rows, test_rows)
        self._sizes = (users, items, user_clusters, item_clusters)
        self.spread, self.correlation, self.noise, self.asked = spread, correlation, noise, asked
        self.seed, self.split_seed = seed, split_seed

    def split(self, name: SplitName) -> Split:
        """Return pairs ``(rows, 2)`` int32, targets ``(rows, 8)`` float32, and what is known."""
        rows, count = self._rows[name], len(self.targets)
        forms: Forms = {
            "inputs": ((rows, 2), np.int32),
            "targets": ((rows, count), np.float32),
            "mask": ((rows, count), np.bool_),
        }
        values = (self._sizes, self.spread, self.correlation, self.noise, self.asked)
        identity = repr((RECIPE, *values, name, rows, self.seed, self.split_seed))
        made = made_once("Recommender8", identity, forms, partial(self._pieces, name))
        return Split(*(torch.from_numpy(made[part]) for part in forms))

    @cached_property
    def world(self) -> World:
        """The planted clusters, and what makes the targets of them."""
        return planted_world(self.seed, *self._sizes, self.spread, self.correlation)

    def _pieces(self, name: SplitName) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        own = stream(name, self.seed, self.split_seed)
        for start in range(0, self._rows[name], ROWS_A_PIECE):
            yield self._piece(own, min(ROWS_A_PIECE, self._rows[name] - start))

    def _piece(self, own: np.random.Generator, rows: int) -> Mapping[str, npt.NDArray[Any]]:
        users, items, *_ = self._sizes
        pairs = np.column_stack([drawn_often(own, rows, users), drawn_often(own, rows, items)])
        signals = self.world.signals(pairs)
        drawn = own.random(signals.shape) < self.world.chances(signals)
        noisy = signals + self.noise * own.standard_normal(signals.shape)
        binary = np.array([target.kind == "binary" for target in self.targets])
        known = np.ones(signals.shape, bool)
        known[:, np.array(GROUPS) == 1] = own.random((rows, 1)) < self.asked
        return {
            "inputs": pairs.astype(np.int32),
            "targets": np.where(binary, drawn, noisy).astype(np.float32),
            "mask": known,
        }

    def network(
        self,
        *,
        embedding_width: int = 32,
        expert_width: int = 64,
        expert_depth: int = 2,
        tower_width: int = 32,
        dropout: float = 0.0,
    ) -> Network:
        """Return MLP experts and towers on two embeddings side by side, which the gates read too.

        Args:
            embedding_width: How many numbers stand for a user, and for an item, at least 1.
            expert_width: The number of units of each of an expert's layers, at least 1.
            expert_depth: The number of an expert's layers, at least 1.
            tower_width: The number of units of a tower's hidden layer, at least 1.
            dropout: The share of an expert's units dropped in training, in [0, 1).

        Raises:
            ValueError: If a value is outside its range.
        """
        check_counts(embedding_width=embedding_width)
        users, items, *_ = self._sizes
        return mlp_network(
            lambda: UserAndItem(users, items, embedding_width),
            2 * embedding_width,
            expert_width=expert_width,
            expert_depth=expert_depth,
            tower_width=tower_width,
            dropout=dropout,
        )
