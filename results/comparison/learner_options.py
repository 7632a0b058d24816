"""What was selected of a learner's hyperparameters, in words."""

from __future__ import annotations

from collections.abc import Sequence

from gatelab.tracking.runs import RunRecord

OF_LEARNER = "learner."
"""How the names of a learner's hyperparameters begin."""


def learner_options(runs: Sequence[RunRecord]) -> str:
    """Return the values that runs have, in brackets: of several searches all, or their range.

    Empty where a learner has none.
    """
    values: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in run.params.items():
            if name.startswith(OF_LEARNER) and value != "None":  # one that was not given
                values.setdefault(name.removeprefix(OF_LEARNER), {})[value] = None
    own = [f"{name} {_told(list(found))}" for name, found in values.items()]
    return f" ({', '.join(own)})" if own else ""


def _told(values: Sequence[str]) -> str:
    """Return one value, the range of several numbers, or all of several words."""
    try:
        numbers = sorted(map(float, values))
    except ValueError:
        return " or ".join(sorted(map(_word, values)))
    ends = dict.fromkeys(f"{end:.3g}" for end in (numbers[0], numbers[-1]))
    return " to ".join(ends)


def _word(value: str) -> str:
    """Return a flag as a spec says it, anything else as it is."""
    return value.lower() if value in ("True", "False") else value
