"""What the keys of a table want of each column, before any is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gatelab.tasks.tables.cells import texts_of

OTHERS = "*"
"""Among kinds, every column that is not named."""
_WORDS = ("category", "binary", "multiclass")


@dataclass(frozen=True)
class Wanted:
    """What is said of columns by name.

    Attributes:
        kinds: The kind of a column, as a feature or a target; None where it is to be found.
        others: That of every column which is not named.
        missing: Values that stand for none, in all columns or by column.
        settled: Whether the kinds of all columns are known, as those of a file read before.
        of_another: Whether the decimal sign is that of another file, read before this one.
    """

    kinds: Mapping[str, object] = field(default_factory=dict)
    others: object = None
    missing: Iterable[object] | Mapping[str, Iterable[object]] = ()
    settled: bool = False
    of_another: bool = False

    def is_said(self, name: str) -> bool:
        """Return whether the kind of a column is known, or that it is not read."""
        return self.settled or self.kinds.get(name, self.others) is not None

    def as_words(self, name: str) -> bool:
        """Return whether a column is to be words, or is not read at all."""
        return self.kinds.get(name, self.others) in _WORDS

    def missing_in(self, name: str) -> tuple[str, ...]:
        """Return what stands for none in a column, texts in their one spelling."""
        named = self.missing
        return tuple(texts_of(named.get(name, ()) if isinstance(named, Mapping) else named))

    def in_another(self, names: Iterable[str], *, decimal: bool) -> Wanted:
        """Return the same of these columns in another file, of which no other one is read.

        Args:
            names: The columns.
            decimal: Whether the other file's decimal sign is said.
        """
        kinds = {it: self.kinds.get(it, self.others) for it in names}
        return replace(self, kinds=kinds, others="category", settled=True, of_another=not decimal)
