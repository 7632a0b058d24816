"""Searches: one of every gate, or several with draws of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class Search(NamedTuple):
    """One search of one gate."""

    label: str
    """The gate's name in the spec."""
    repeat: int = 0
    """Counted from 0."""

    @property
    def name(self) -> str:
        """The same in every process and after every resume: no gate's name has a slash."""
        return f"{self.label}/{self.repeat}" if self.repeat else self.label

    @classmethod
    def of(cls, name: str) -> Search:
        """Return the search of a name."""
        label, _, repeat = name.partition("/")
        return cls(label, int(repeat or 0))


def of_gate(label: str, by_search: Mapping[str, T]) -> dict[str, T]:
    """Return what belongs to the searches of one gate, of what is there by the search's name."""
    return {name: it for name, it in by_search.items() if Search.of(name).label == label}


def mixed(*numbers: int) -> int:
    """Return one seed that follows from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_of(seed: int, repeat: int) -> int:
    """Return the seed from which those of a repeat follow; the first has the sweep's own."""
    return mixed(seed, 2, repeat) if repeat else seed


def row_label(label: str, k: Any) -> str:
    """Return under which label the best of a gate's trials with k experts is recorded."""
    return f"{label}.k{k}"
