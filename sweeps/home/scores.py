"""Scores: how an evaluation ended, kept in a sweep's home until its gate is summed up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gatelab.durable import write_settled
from gatelab.sweeps.search.study_file import DamagedFile

NO_SCORES = (OSError, ValueError, TypeError, RecursionError)
"""What a file raises that was never written here."""


class Evaluated(NamedTuple):
    """What is summed up of one of an evaluation's seeds, as :class:`.Ending` has it."""

    seed: int
    metrics: dict[str, float]
    weights: list[list[float]]
    load: list[list[float]]
    broken: bool = False


def write_scores(path: Path, found: Sequence[Evaluated]) -> None:
    """Keep how the members of an evaluation ended that have a score: at least one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_settled(path, json.dumps(found))


def read_scores(path: Path) -> list[Evaluated]:
    """Return what :func:`write_scores` has kept.

    Raises:
        DamagedFile: If it is anything else, or is not there.
    """
    try:
        found = [Evaluated(*one) for one in json.loads(path.read_bytes())]
        if found and all(isinstance(one.metrics, dict) for one in found):
            return found
    except NO_SCORES:
        pass
    raise DamagedFile(
        f"{path} does not hold the scores of an evaluation: put back what was there, or launch "
        "the spec under another name (`--name`)."
    )
