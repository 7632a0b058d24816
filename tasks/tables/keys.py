"""The keys of a table that say how it is read: made once, passed whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gatelab.tasks.tables.wanted import OTHERS, Wanted
from gatelab.tasks.target import Kind


@dataclass(frozen=True)
class TableKeys:
    """What is said of how a table is read.

    Attributes:
        kinds: Of columns, ``number``, ``binary``, ``category`` or a list of levels in order;
            ``*`` is every column that is not named, unless one is called so.
        missing: Values that stand for none, in all columns but that of weights, whose 0 is a
            value, or by column; ``inf`` is any infinity.
        drop: Columns that are not read.
        only: The features to read, all where it is None; targets and times are read anyway.
        reading: Of a CSV, ``delimiter``, ``decimal``, ``encoding``, ``header``; found otherwise.
        targets: The kind of each target: ``regression``, ``binary`` or ``multiclass``; None
            where it is to be found.
        classes: Of targets, in order, in one spelling a value; of a binary one that of 1 will do.
        times: Columns of numbers or dates that rows are ordered by, with the form of the dates:
            ``iso``, or one of ``datetime.strptime``.
        weights: The column of what rows weigh.
        division: The column of what group or split rows are of: one text for each value, however
            it is written.
    """

    kinds: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    missing: Iterable[object] | Mapping[str, Iterable[object]] = ()
    drop: Iterable[str] = ()
    only: Iterable[str] | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Kind | None] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    times: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None
    division: str | None = None

    def wanted(self) -> Wanted:
        """Return what they want of each column, before any is read."""
        others = self.kinds.get(OTHERS)
        kinds = {
            **dict.fromkeys(self.only or (), others),
            **self.kinds,
            **dict.fromkeys(self.drop, "category"),
            **dict.fromkeys((*self.times, *_given(self.weights)), "number"),
            **dict.fromkeys(_given(self.division), "category"),
            **self.targets,
        }
        return Wanted(kinds, others if self.only is None else "category", self.missing)

    def columns(self) -> dict[str, Iterable[str]]:
        """Return the columns that they name, by the option of the task that names them."""
        return {
            "split": (*self.times, *_given(self.division)),
            "weights": _given(self.weights),
            "targets": self.targets,
            "kinds": [name for name in self.kinds if name != OTHERS],
            "drop": self.drop,
            "only": self.only or (),
            "missing": self.missing if isinstance(self.missing, Mapping) else (),
        }

    def features(self, columns: Iterable[str]) -> set[str]:
        """Return which columns ``drop`` and ``only`` leave."""
        return {*(columns if self.only is None else self.only)} - {*self.drop}

    def roles(self) -> set[str]:
        """Return the columns that are read for another reason, whatever is dropped."""
        return {*self.targets, *self.times, *_given(self.weights, self.division)}

    def of_each(self, columns: Iterable[str]) -> TableKeys:
        """Return the same of these columns, where what is said of all is said of each."""
        names = [*columns]
        kinds, missing = dict(self.kinds), self.missing
        if OTHERS in kinds and OTHERS not in names:
            kinds = {**dict.fromkeys(names, kinds.pop(OTHERS)), **kinds}
        if not isinstance(missing, Mapping):
            missing = dict.fromkeys((name for name in names if name != self.weights), missing)
        kinds |= dict.fromkeys(_given(self.division), "category")
        return replace(self, kinds=kinds, missing=missing)


def _given(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None)
