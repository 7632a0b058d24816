"""The task of a table: any file or frame, whose targets are columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from gatelab.rules import check_counts
from gatelab.tasks.layers import mlp_network
from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.division import told_copies
from gatelab.tasks.tables.files import found_file, places_of
from gatelab.tasks.tables.fitted import Fitted, Numbers, numbers_of
from gatelab.tasks.tables.keys import TableKeys
from gatelab.tasks.tables.lines import gathered
from gatelab.tasks.tables.network import Embedded, embedding_width
from gatelab.tasks.tables.option_forms import check_forms, plain_options
from gatelab.tasks.tables.option_rules import (
    check_no_feature,
    check_rows_options,
    check_split_column,
    check_weights_column,
)
from gatelab.tasks.tables.prepared import prepare
from gatelab.tasks.tables.raw import Origin, raw_rows, recipe_of
from gatelab.tasks.tables.reading import read_contents
from gatelab.tasks.tables.redundancy import redundancy
from gatelab.tasks.tables.rounding import rounded
from gatelab.tasks.tables.scarcity import scarcity
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.sources import readable_again
from gatelab.tasks.tables.split_rule import SplitRule, split_rule
from gatelab.tasks.tables.target_columns import Rare, TargetColumn, target_columns
from gatelab.tasks.tables.target_options import asked_targets
from gatelab.tasks.tables.weighing import told_weights
from gatelab.tasks.task import Network, Split, SplitName, Task, register_task


@register_task("table")
class Table(Task):
    """Learns columns of a table, CSV, Parquet or a frame, from its other columns.

    Numbers are imputed, flagged where they were missing, and standardised; categories are embedded,
    rare and unknown ones as one; all this is fitted to the train rows alone. Regression targets
    are trained standardised and scored in their own unit.
    """

    source = "The file that `path` names, below GATELAB_DATA if that is set, or from here."
    licence = "That of the file."

    def __init__(
        self,
        frame: object = None,
        /,
        *,
        path: str = "",
        targets: Mapping[str, Any] | None = None,
        kinds: Mapping[str, Any] | None = None,
        drop: Sequence[str] = (),
        only: Sequence[str] | None = None,
        missing: Sequence[object] | Mapping[str, Sequence[object]] = (),
        split: str | Mapping[str, Any] = "random",
        duplicates: str = "keep",
        rare: str = "ask",
        min_frequency: int | None = None,
        reading: Mapping[str, Any] | None = None,
        weights: str | None = None,
        split_seed: int = 0,
    ) -> None:
        """Read the table, divide its rows, and fit what is fitted to those of train.

        Args:
            frame: In place of a path: of pandas, polars, pyarrow or NumPy.
            path: Of a CSV or Parquet file; a relative one is looked for below the folder that the
                environment variable GATELAB_DATA names, then from where the command runs.
            targets: ``{column: kind}``, or ``{column: {kind: kind, weight: 1, class_weight:
                balanced, positive: value, classes: [value, value], name: name}}``; a kind is
                ``regression``, ``binary`` or ``multiclass``; positive is the value of a binary
                target that is 1, by default the larger, and classes the order of all, by default
                that by value; the name is that in metrics. Of several columns one target is made
                by ``{name: {columns: [column, column], kind: regression}}``.
            kinds: Of columns: ``number``, ``binary``, ``category`` or a list of levels in order;
                ``*`` is every column that is not named; found where nothing is said.
            drop: Columns that are not read.
            only: The columns that are features, in place of all.
            missing: Values that stand for none, in all columns or by column.
            split: ``random``, ``{column: c, val: v, test: t}``, ``{group: c}`` or ``{time: c,
                format: iso}``, each but the second also with ``shares: [0.7, 0.15, 0.15]``.
            duplicates: ``keep``, or ``together``: copies of rows stay in one random split.
            rare: Of classes of fewer than 3 known rows: ``ask``, ``drop`` or ``train``.
            min_frequency: Categories of fewer train rows share the id of unknown ones; by default
                5, and 1 in a table of fewer than 200 rows.
            reading: Of a CSV: ``delimiter``, ``decimal``, ``encoding``, ``header``.
            weights: The column of what rows weigh, 0 or more, which is no feature.
            split_seed: Another one divides the same rows anew.

        Raises:
            TableError: If the table cannot be read or divided so, in one line.
            ValueError: If an option is out of its range.
        """
        given = {name: it for name, it in locals().items() if name not in ("self", "frame", "path")}
        self._options = plain_options(given)
        asked, rule = asked_targets(targets), split_rule(split)
        check_counts(min_frequency=1 if min_frequency is None else min_frequency)
        check_rows_options(rule, rare, duplicates, split_seed)
        check_split_column(asked, rule)
        check_weights_column(weights, asked, rule)
        kinds, reading = kinds or {}, reading or {}
        check_forms(kinds=kinds, drop=drop, only=only, missing=missing, reading=reading)
        check_no_feature(weights, kinds=kinds, only=only or ())
        frame = readable_again(frame)
        keys = TableKeys(
            kinds=kinds,
            missing=missing or (),
            drop=drop,
            only=only,
            reading=reading,
            targets={name: target.kind for name, target in asked.items()},
            classes={name: target.classes for name, target in asked.items()},
            weights=weights,
            **_read_apart(rule),
        )
        contents = _contents(frame, path, keys)
        self.split_seed, self.fixed_split = split_seed, rule.fixed
        self._by_chance = rule.by == "random"
        self._contents, by_row = _weighed(contents, weights)
        self._origin = Origin(found_file(path) if frame is None else frame, keys)
        self._prepared = prepare(
            self._contents,
            target_columns(self._contents, asked, cast(Rare, rare), by_row),
            rule,
            together=duplicates == "together",
            min_frequency=min_frequency,
            split_seed=split_seed,
            weights=by_row,
        )
        self.targets = self._prepared.targets()
        dropped = weights in drop
        weighted = () if by_row is None else (told_weights(str(weights), by_row, dropped),)
        self.said = (*gathered(contents.said), *weighted, *self._prepared.said)

    @classmethod
    def places(cls, **options: Any) -> tuple[Path, ...]:
        """Return where its file is looked for."""
        return places_of(options["path"]) if options.get("path") else ()

    def split(self, name: SplitName) -> Split:
        """Return inputs ``(rows, features)`` and targets, float32; mask and weights where due."""
        return self._prepared.split(name)

    def warnings(self) -> tuple[str, ...]:
        """Return copies of rows in two splits, columns that give a target away, scarce classes."""
        from gatelab.tasks.tables.giveaways import (
            giveaways,  # here: SciPy's statistics take a second to import, and no worker asks
        )

        names = [target.name for target in self.target_columns]
        learnt = {*names, *self._prepared.features}
        columns = {name: it for name, it in self._contents.columns.items() if name in learnt}
        contents = replace(self._contents, columns=columns)
        return (
            *told_copies(columns.values(), self._prepared.splits, random=self._by_chance),
            *gathered(giveaways(contents, names)),
            *gathered(redundancy(contents, names)),
            *gathered(rounded(contents, names)),
            *gathered(scarcity(self._prepared.target_columns, self._prepared.splits)),
        )

    @property
    def options(self) -> Mapping[str, Any]:
        """All that it was made with but the table itself, as plain values."""
        return self._options

    @property
    def source_file(self) -> Path | None:
        """The file that it was read from; none of a frame."""
        source = self._origin.source
        return Path(source).absolute() if isinstance(source, str | Path) else None

    def sheet(self) -> Sheet:
        """Return the table as its source has it, before any kind."""
        return self._origin.read()

    @property
    def contents(self) -> Contents:
        """The table as it was read."""
        return self._contents

    @property
    def target_columns(self) -> tuple[TargetColumn, ...]:
        """The columns that are its targets, in the order of :attr:`targets`."""
        return self._prepared.target_columns

    @property
    def features(self) -> Mapping[str, Column]:
        """The columns that it learns from."""
        return self._prepared.features

    @property
    def fitted(self) -> Fitted:
        """What is fitted to the train rows, as plain numbers."""
        return self._prepared.fitted

    def recipe(self) -> dict[str, Any]:
        """Return all that turns raw rows into inputs and outputs into values, as plain values."""
        return recipe_of(self._prepared, self._origin)

    def raw(self, name: SplitName, most: int) -> dict[str, pa.Array]:
        """Return the first rows of a split, so many at most, as the table has them, by column."""
        return raw_rows(self._prepared, self._origin, name, most)

    def read(self, other: object, reading: Mapping[str, Any] = {}) -> Sheet:
        """Return another file or frame, read by the keys of this table.

        Args:
            other: A path or a frame.
            reading: Keys of ``reading`` that are others for it.

        Raises:
            TableError: If it cannot be read.
        """
        return self._origin.read(other, reading)

    def network(
        self,
        *,
        expert_width: int = 64,
        expert_depth: int = 2,
        tower_width: int = 32,
        dropout: float = 0.0,
    ) -> Network:
        """Return MLP experts and towers on numbers and embeddings, which the gates read too.

        Args:
            expert_width: The number of units of each of an expert's layers, at least 1.
            expert_depth: The number of an expert's layers, at least 1.
            tower_width: The number of units of a tower's hidden layer, at least 1.
            dropout: The share of an expert's units dropped in training, in [0, 1).

        Raises:
            ValueError: If a value is outside its range.
        """
        numbers = len(self.fitted.numbers) + len(self.fitted.flagged)
        num_ids = [len(values) + 1 for values in self.fitted.categories.values()]
        return mlp_network(
            lambda: Embedded(numbers, num_ids),
            numbers + sum(map(embedding_width, num_ids)),
            expert_width=expert_width,
            expert_depth=expert_depth,
            tower_width=tower_width,
            dropout=dropout,
        )


def _weighed(contents: Contents, weights: str | None) -> tuple[Contents, Numbers | None]:
    """Return a table without its column of weights, and that; they are no feature of a row."""
    if weights is None:
        return contents, None
    others = {name: column for name, column in contents.columns.items() if name != weights}
    return replace(contents, columns=others), numbers_of(contents.columns[weights])


def _read_apart(rule: SplitRule) -> dict[str, Any]:
    """Return how the reader is told of the column by which rows are divided."""
    if rule.column is None:
        return {}
    return {"times": {rule.column: rule.format}} if rule.by == "time" else {"division": rule.column}


def _contents(frame: object, path: str, keys: TableKeys) -> Contents:
    """Return what a frame or a file holds."""
    if (frame is None) == (not path):
        raise TableError(
            "`path` must name the file of the table, or a frame be given, one of both."
        )
    if frame is not None:
        return read_contents(frame, keys)
    file = found_file(path)
    state = file.stat()
    # What JSON has no form of, as NumPy's numbers among `missing`, is its text: so it is read.
    plain = json.dumps(vars(keys), default=str)
    return _read_file(file, state.st_mtime_ns, state.st_size, plain)


@lru_cache(maxsize=1)
def _read_file(file: Path, changed: int, size: int, keys: str) -> Contents:
    """Return what a file holds, read once while it is the same: tasks may differ in their split."""
    return read_contents(file, TableKeys(**json.loads(keys)))
