"""Evaluations: which jobs follow from a search that has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution

from gatelab.sweeps.search.attributes import SEEDS_TOGETHER, TAKEN_OVER
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.numbering import Numbering
from gatelab.sweeps.spec.searches import Search, mixed, row_label, seed_of
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member


@dataclass(frozen=True)
class Plan:
    """What every gate gets, the same for each."""

    trials: int
    """Of a search."""
    trial_seeds: int
    """Members of each."""
    seeds: int
    """Of the evaluation of what a search selects, on each split."""
    seed: int
    """From which all seeds of training follow."""
    splits: tuple[int | None, ...] = (None,)
    """The seeds of the splits that are evaluated on; ``None``: the task's own."""
    repeats: int = 1
    """Searches of each gate."""
    hours: float | None = None
    """After which no round begins any more that no gate has begun; ``None``: never."""
    width: int = 1
    """Members that train together at most, unless a study's attributes ``TOGETHER`` or, of an
    evaluation, ``SEEDS_TOGETHER`` say otherwise; those of a trial always do."""


def evaluations(plan: Plan, search: Search, gate: str, study: Study) -> list[Job]:
    """Return what is evaluated after a search, on each split: nothing if no trial finished.

    Of every gate the same seeds, on every split the same, so that all of them pair. Those that were
    taken over are a job of their own, before the others; these are as many jobs as it takes for no
    more to train together than trials do, so that they use as many workers.

    Args:
        plan: What every gate gets.
        search: That has ended.
        gate: The registry's key of its gate.
        study: How the search went.
    """
    rows = selected_rows(search.label, study, every=plan.repeats > 1)
    numbering = Numbering(plan.seeds, len(plan.splits))
    taken: Mapping[str, int] = study.attributes.get(TAKEN_OVER, {})
    width: int = study.attributes.get(SEEDS_TOGETHER, plan.width)
    root = seed_of(plan.seed, search.repeat)
    return [
        Job(
            "evaluate",
            label,
            gate,
            tuple(Member(configuration, mixed(root, 1, seed)) for seed in seeds),
            numbering.number(search.repeat, place, seeds[0]),
            split_seed=split,
            search=search.name,
        )
        for label, configuration in rows.items()
        for place, split in enumerate(plan.splits)
        for seeds in numbering.parts(taken.get(f"{label}/{place}", 0), width)
    ]


def selected_rows(label: str, study: Study, *, every: bool) -> dict[str, Configuration]:
    """Return what a search selects: the winner under its label, and the best at each other k.

    Args:
        label: The gate's.
        study: How the search went.
        every: Whether the winner's k gets a row of its own too: with several searches the winners
            may differ in k, and a row is there for each search or for none.
    """
    selected = study.selected()
    if selected is None:
        return {}
    found = {label: selected[1]}
    for k in ks(study):
        best = study.best_with("gate.k", k)
        if best is not None and (every or k != selected[1].values["gate.k"]):
            found[row_label(label, k)] = best[1]
    return found


def ks(study: Study) -> Sequence[Any]:
    """Return between which numbers of experts a search chooses, if a spec lists them."""
    listed = study.space.distributions.get("gate.k")
    return list(listed.choices) if isinstance(listed, CategoricalDistribution) else []
