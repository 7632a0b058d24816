"""How the search of every gate is cut: into rounds, and these by rungs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gatelab.gates.gate import gates
from gatelab.sweeps.spec.sections import SearchSpec
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.sweeps.spec.spec import Spec
from gatelab.training.member import settled_epoch

MOST_ROUNDS = 4
"""Of a search that names no number: each waits for its last trial."""
FEWEST_TRIALS = 6
"""Of a round then: halved twice, it still compares."""
GRACE_SHARE = 0.25
"""Of ``max_epochs``: where a spec says nothing, no trial is pruned before."""


@dataclass(frozen=True)
class Rounds:
    """How the search of one gate is cut."""

    size: int
    """Trials a round; 0: there is nothing to search."""
    rungs: tuple[int, ...] = ()
    """Epochs, counted from 1, at which a round's trials are compared; none: all train to their
    end."""
    factor: int = 2
    """Of how many trials one goes on from each rung."""


def default_rounds(trials: int) -> int:
    """Return the most rounds of equal size, 4 at most, of which each has 6 trials or more."""
    most = min(MOST_ROUNDS, trials // FEWEST_TRIALS)
    return max((n for n in range(1, most + 1) if trials % n == 0), default=1)


def round_size(search: SearchSpec) -> int:
    """Return how many trials a round of a search has."""
    return search.trials // (search.rounds or default_rounds(search.trials))


def rounds_of(spec: Spec, spaces: Mapping[str, SearchSpace]) -> dict[str, Rounds]:
    """Return how the search of each gate is cut, by its name in the spec.

    A gate without training has nothing to search. All others have the same rungs, so that all spend
    the same epochs: the first comes after the grace, and after the schedule of every gate has
    ended. A gate whose schedule lasts to the end of the training is compared there alone.
    """
    sizes = {label: _size(spec, label) for label in spaces}
    halving, max_epochs = spec.search.early_stopping, spec.training.max_epochs
    if not halving or max(sizes.values()) <= 1:  # nothing to compare with
        return {label: Rounds(size) for label, size in sizes.items()}
    settled = {label: _settled(spec, label, space) for label, space in spaces.items()}
    early = [epoch for epoch in settled.values() if epoch <= max_epochs]
    grace = halving.grace_epochs or math.ceil(GRACE_SHARE * max_epochs)
    rungs = _rungs(max(grace, *early, 0), halving.reduction_factor, max_epochs)
    return {
        label: Rounds(sizes[label], rungs if epoch <= max_epochs else (), halving.reduction_factor)
        for label, epoch in settled.items()
    }


def _size(spec: Spec, label: str) -> int:
    if not gates.get(spec.gates[label].gate).trained:
        return 0
    return round_size(spec.search)


def plan(spec: Spec, rounds: Mapping[str, Rounds]) -> str:
    """Return how every gate is searched and evaluated, in a sentence."""
    again = f", {spec.search.repeats} times" if spec.search.repeats > 1 else ""
    on = f" on each of {spec.evaluation.splits} splits" if spec.evaluation.splits > 1 else ""
    return f"{_searched(spec, rounds)}{again}; then {spec.evaluation.seeds} seeds of the best{on}"


def _searched(spec: Spec, rounds: Mapping[str, Rounds]) -> str:
    searches = {label: cut for label, cut in rounds.items() if cut.size}
    if not searches:
        return "nothing to search"
    trials, longest = spec.search.trials, max(searches.values(), key=lambda cut: len(cut.rungs))
    count = trials // longest.size
    parts = f"{trials} trials each" + (f" in {count} rounds of {longest.size}" if count > 1 else "")
    if not longest.rungs or longest.size == 1:
        return f"{parts}, all trained to their end"
    epochs = " and ".join(map(str, longest.rungs))
    whole = [label for label, cut in searches.items() if not cut.rungs]
    but = f" (not of {', '.join(whole)}: a schedule lasts to the end)" if whole else ""
    return f"{parts}, of which one of {longest.factor} goes on from epoch {epochs}{but}"


def _settled(spec: Spec, label: str, space: SearchSpace) -> int:
    """Return the latest epoch before which a gate may follow a schedule."""
    gate = gates.get(spec.gates[label].gate)
    max_epochs = spec.training.max_epochs
    return max(settled_epoch(gate, c.gate, max_epochs) for c in space.at_extremes())


def _rungs(first: int, factor: int, max_epochs: int) -> tuple[int, ...]:
    """Return the epochs at which successive halving compares, all before the last epoch."""
    found = []
    while first < max_epochs:
        found.append(first)
        first *= factor
    return tuple(found)
