"""What gates were given to learn by: said where it is not the same, as their scores rest on it."""

from __future__ import annotations

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.tables import listed


def given_otherwise(comparison: Comparison) -> list[str]:
    """Return who was given what, if the compared were not all given the same."""
    by_words: dict[str, list[str]] = {}
    for subject in comparison.subjects:
        if subject.given and subject.tested:
            by_words.setdefault(subject.given, []).append(subject.gate)
    if len(by_words) < 2:
        return []
    return [f"{listed(who)} had {words}." for words, who in by_words.items()]
