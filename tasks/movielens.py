"""Whether a user watched a movie, and what they thought of it: MovieLens."""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc
import torch

from gatelab.rules import check_counts, check_not_negative
from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet, check_here
from gatelab.tasks.data_sets.unpacking import opened
from gatelab.tasks.layers import UserAndItem, mlp_network
from gatelab.tasks.streams import stream
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task, register_task

Whole = npt.NDArray[np.int64]

TEST_SHARE, VAL_SHARE = 0.1, 0.125
"""Of all rows, and of those that are not test's."""
_LICENCE = (
    "research use with acknowledgement; no redistribution without separate permission, no "
    "commercial use without permission (GroupLens's README)."
)
_SOURCE = (
    "Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5 (2015); GroupLens."
)


def _ratings(name: str, archive: str, file: str, sha256: str) -> DataSet:
    url = f"https://files.grouplens.org/datasets/movielens/{archive}.zip"
    return DataSet(name, (DataFile(file, url, sha256),), _SOURCE, _LICENCE, to_accept=True)


class UserMovies(NamedTuple):
    """Pairs of a user and a movie."""

    pairs: npt.NDArray[np.int32]
    """``(rows, 2)``: places of users and of movies that occur, from 0."""
    ratings: npt.NDArray[np.float32]
    """``(rows,)``: 1 to 5, 0 where the movie was not watched."""


class MovieLens(Task):
    """Tells whether a user watched a movie, and how they rated it if they did.

    Each rating is a pair that was watched. As many movies as a user rated, or all others if these
    are fewer, are drawn from those they did not: pairs that were not watched, whose rating is
    unknown. Rows are divided at random, stratified: 0.1 test, then 0.125 of the others val.
    """

    columns: ClassVar[tuple[int, int, int, int]]
    """The places of user, movie and rating in a line, and how many fields it has."""
    delimiter: ClassVar[str]

    def __init__(
        self,
        *,
        watched_weight: float = 0.1,
        users: int | None = None,
        seed: int = 0,
        split_seed: int = 0,
    ) -> None:
        """Set what the targets weigh, and the seeds.

        Args:
            watched_weight: Of `watched`, in (0, 1); `rating` has the rest. 0.1 and 0.9 are
                published.
            users: How many users, drawn at random, are taken; by default all.
            seed: Of the movies that were not watched, and the users that are taken.
            split_seed: Of the division of rows.

        Raises:
            DataError: If the file is not on this machine.
            ValueError: If an option is out of its range.
        """
        if not 0 < watched_weight < 1:
            raise ValueError(f"`0 < watched_weight < 1` must hold, but got ({watched_weight=}).")
        check_counts(users=1 if users is None else users)
        check_not_negative(seed=seed, split_seed=split_seed)
        check_here(self.data_sets)
        self.users, self.seed, self.split_seed = users, seed, split_seed
        self.targets = (
            Target("watched", "binary", weight=watched_weight),
            Target("rating", "regression", weight=round(1 - watched_weight, 12)),
        )

    def split(self, name: SplitName) -> Split:
        """Return pairs ``(rows, 2)`` int32, targets float32, and a mask where nothing was rated."""
        rows = self._divided[name]
        ratings = self._rows.ratings[rows]
        watched = ratings > 0
        return Split(
            torch.from_numpy(self._rows.pairs[rows]),
            torch.from_numpy(np.stack([watched.astype(np.float32), ratings], 1)),
            torch.from_numpy(np.stack([np.ones_like(watched), watched], 1)),
        )

    def test_to_train(self) -> float:
        """Return the ratio of test to train rows."""
        return len(self._divided["test"]) / len(self._divided["train"])

    def network(
        self,
        *,
        embedding_width: int = 128,
        expert_width: int = 256,
        expert_depth: int = 1,
        tower_width: int = 256,
        dropout: float = 0.5,
    ) -> Network:
        """Return MLP experts and towers on two embeddings side by side, which the gates read too.

        Args:
            embedding_width: How many numbers stand for a user, and for a movie, at least 1.
            expert_width: The number of units of each of an expert's layers, at least 1.
            expert_depth: The number of an expert's layers, at least 1.
            tower_width: The number of units of a tower's hidden layer, at least 1.
            dropout: The share of an expert's units dropped in training, in [0, 1).

        Raises:
            ValueError: If a value is outside its range.
        """
        check_counts(embedding_width=embedding_width)
        users, movies = (int(count) for count in self._rows.pairs.max(0) + 1)
        return mlp_network(
            lambda: UserAndItem(users, movies, embedding_width),
            2 * embedding_width,
            expert_width=expert_width,
            expert_depth=expert_depth,
            tower_width=tower_width,
            dropout=dropout,
        )

    @cached_property
    def _rows(self) -> UserMovies:
        ratings = self._read()
        if self.users is not None:
            everyone = np.unique(ratings[:, 0])
            drawn = stream("common", self.seed).permutation(everyone)[: self.users]
            ratings = ratings[np.isin(ratings[:, 0], drawn)]
        return with_unwatched(ratings, self.seed)

    @cached_property
    def _divided(self) -> dict[SplitName, Whole]:
        if len(self._rows.ratings) < 3:
            path = self.data_sets[0].found(self.data_sets[0].files[0].name)
            raise DataError(f"{path} holds too few ratings for three splits.")
        drawn = stream("common", self.seed, self.split_seed + 1)  # the first one draws movies
        rest, test = cut_off(np.arange(len(self._rows.ratings)), self._watched, TEST_SHARE, drawn)
        train, val = cut_off(rest, self._watched, VAL_SHARE, drawn)
        return {"train": train, "val": val, "test": test}

    @property
    def _watched(self) -> npt.NDArray[np.bool_]:
        return self._rows.ratings > 0

    def _read(self) -> Whole:
        """Return user, movie and rating of each line, ``(rows, 3)``."""
        path = self.data_sets[0].found(self.data_sets[0].files[0].name)
        *places, fields = self.columns
        names = [f"field {i + 1}" for i in range(fields)]
        try:
            with opened(path) as file:
                table = pc.read_csv(
                    file,
                    read_options=pc.ReadOptions(column_names=names, use_threads=False),
                    parse_options=pc.ParseOptions(delimiter=self.delimiter, quote_char=False),
                    convert_options=pc.ConvertOptions(
                        include_columns=[names[i] for i in places],
                        column_types={names[i]: pa.int64() for i in places},
                        null_values=[],
                    ),
                )
        except pa.ArrowInvalid as error:
            why = " ".join(str(error).split())[:200]
            raise DataError(f"{path} is no file of ratings: {why}.") from error
        found: Whole = np.stack([column.to_numpy() for column in table.columns], 1)
        _check_ratings(str(path), found)
        return found


def _check_ratings(path: str, ratings: Whole) -> None:
    wrong = np.flatnonzero((ratings[:, 2] < 1) | (ratings[:, 2] > 5))
    if len(wrong):
        value = ratings[wrong[0], 2]
        raise DataError(f"{path}: ratings are 1 to 5, but line {wrong[0] + 1} has {value}.")
    keys = ratings[:, 0] << 32 | ratings[:, 1]
    if (np.diff(np.sort(keys)) == 0).any():
        raise DataError(f"{path}: some user rates a movie twice, which no published file has.")


def with_unwatched(ratings: Whole, seed: int) -> UserMovies:
    """Return ratings, and for each user as many movies that were not watched, or all there are.

    Args:
        ratings: ``(rows, 3)``: ids of users and of movies, and ratings.
        seed: Of the movies that are drawn, of those that anyone rated.
    """
    movie_ids, movies = np.unique(ratings[:, 1], return_inverse=True)
    _, users, counts = np.unique(ratings[:, 0], return_inverse=True, return_counts=True)
    own = stream("common", seed, 1)
    watched = np.zeros((len(counts), len(movie_ids)), bool)
    watched[users, movies] = True
    unwatched = [
        own.permutation(np.flatnonzero(~seen))[:count]
        for seen, count in zip(watched, counts, strict=True)
    ]
    drawn = np.concatenate(unwatched)
    who = np.repeat(np.arange(len(counts)), [len(it) for it in unwatched])
    pairs = np.concatenate([np.stack([users, movies], 1), np.stack([who, drawn], 1)])
    values = np.concatenate([ratings[:, 2], np.zeros(len(drawn), np.int64)])
    return UserMovies(pairs.astype(np.int32), values.astype(np.float32))


def cut_off(
    rows: Whole, classes: npt.NDArray[np.bool_], share: float, drawn: np.random.Generator
) -> tuple[Whole, Whole]:
    """Divide rows at random into what stays and a share, rounded up, that has as much of a class.

    Args:
        rows: Which rows, ``(rows,)``.
        classes: Of all rows.
        share: Of the rows, in (0, 1).
        drawn: By which they are drawn.
    """
    order = drawn.permutation(rows)
    of_class = classes[order]
    first, second = order[of_class], order[~of_class]
    count = math.ceil(share * len(rows))
    of_first = round(count * len(first) / len(rows))
    of_second = count - of_first
    cut = np.sort(np.concatenate([first[:of_first], second[:of_second]]))
    return np.sort(np.concatenate([first[of_first:], second[of_second:]])), cut


@register_task("movielens_1m")
class MovieLens1M(MovieLens):
    """Tells whether one of 6,040 users watched one of 3,706 movies, and their rating if they did.

    Source: the recipe of COMET's supplement (Ibrahim et al., 2023), with its networks.
    """

    data_sets = (
        _ratings(
            "movielens_1m",
            "ml-1m",
            "ratings.dat",
            "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
        ),
    )
    columns, delimiter = (0, 2, 4, 7), ":"  # `::` has a field of nothing between


@register_task("movielens_100k")
class MovieLens100K(MovieLens):
    """Tells whether one of 943 users watched one of 1,682 movies, and their rating if they did.

    Source: as ``movielens_1m``, on the smaller set.
    """

    data_sets = (
        _ratings(
            "movielens_100k",
            "ml-100k",
            "u.data",
            "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
        ),
    )
    columns, delimiter = (0, 1, 2, 4), "\t"
