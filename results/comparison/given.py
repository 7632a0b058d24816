"""What gates were given to learn by: said where it is not the same, as their scores rest on it."""

from __future__ import annotations

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.tables import listed

OF_LEARNER = "learner."
"""How the names of a learner's hyperparameters begin."""


def given_otherwise(comparison: Comparison) -> list[str]:
    """Return who was given what, if the compared were not all given the same."""
    by_words: dict[str, list[str]] = {}
    for subject in comparison.subjects:
        if subject.given and subject.tested:
            words = subject.given + _options(comparison, subject.gate)
            by_words.setdefault(words, []).append(subject.gate)
    if len(by_words) < 2:
        return []
    return [f"{listed(who)} had {words}." for words, who in by_words.items()]


def _options(comparison: Comparison, gate: str) -> str:
    """Return the values that were selected of a learner's hyperparameters, in brackets."""
    chosen = comparison.configurations.get(gate, {})
    own = [
        f"{name.removeprefix(OF_LEARNER)} {_short(value)}"
        for name, value in chosen.items()
        if name.startswith(OF_LEARNER) and value != "None"  # one that was not given
    ]
    return f" ({', '.join(own)})" if own else ""


def _short(value: str) -> str:
    """Return a number with three digits, a flag as a spec says it, anything else as it is."""
    if value in ("True", "False"):
        return value.lower()
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value
