"""Taken evaluations: what a sweep has evaluated, as another's that goes on with more seeds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna

from gatelab.sweeps.cluster.storage import Storage, model_name
from gatelab.sweeps.home.files import scores_file
from gatelab.sweeps.home.scores import holds_scores
from gatelab.sweeps.search.attributes import EVALUATED, SEEDS_TOGETHER, TAKEN_OVER
from gatelab.sweeps.spec.numbering import Numbering

LabelAndNumber = tuple[str, int]
"""The label of a run, and its number."""
Parts = tuple[str, ...]
"""The names of jobs, in the order of their seeds."""


@dataclass(frozen=True)
class Taken:
    """The evaluations of a sweep that another takes over, which has more seeds or splits.

    They are numbered by repeat, split and seed, so that each has another number there.
    """

    had: Numbering
    has: Numbering
    jobs: Mapping[str, Mapping[str, Parts]]
    """By the search that they follow from, all on one split by the name of the first of them."""

    @classmethod
    def of(
        cls,
        studies: Mapping[str, optuna.Study],
        home: Path,
        had: Numbering,
        has: Numbering,
    ) -> Taken:
        """Return those of a sweep that have finished, and of which its home has the scores."""
        found = {name: _whole(study.user_attrs, had) for name, study in studies.items()}
        kept = {
            name: {first: jobs for first, jobs in of.items() if all(map(_kept_in(home), jobs))}
            for name, of in found.items()
        }
        return cls(had, has, kept)

    @property
    def runs(self) -> int:
        """How many runs they have."""
        return sum(map(len, self.jobs.values())) * self.had.seeds

    def holds(self, run: str) -> bool:
        """Return whether a run, by its name as that of a job, is one of them."""
        where = self.had.of(_parted(run)[1])
        first = f"{_stem(run)}/{self.had.number(where.repeat, where.place, 0)}"
        return any(first in jobs for jobs in self.jobs.values())

    def renamed(self, run: str) -> str:
        """Return what a run, or a job, is named in the sweep that takes it over."""
        return f"{_stem(run)}/{self.has.number(*self.had.of(_parted(run)[1]))}"

    def mark(self, studies: Mapping[str, optuna.Study]) -> None:
        """Note with the studies of the other sweep what it has of them."""
        for name, jobs in self.jobs.items():
            parts = {_where(job, self.had): self.had.seeds for job in jobs}
            studies[name].set_user_attr(TAKEN_OVER, parts)
            every = [self.renamed(job) for parts in jobs.values() for job in parts]
            studies[name].set_user_attr(EVALUATED, every)

    def copy(self, home: Path, draft: Path, storage: Storage, into: Storage) -> None:
        """Copy scores from one home to another, and models from one storage to another."""
        with TemporaryDirectory() as folder:
            for job in (job for of in self.jobs.values() for jobs in of.values() for job in jobs):
                old, new = _parted(job), _parted(self.renamed(job))
                target = scores_file(draft, *new)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(scores_file(home, *old), target)
                model = Path(folder) / "model.pt"
                if storage.get(model_name(*old), model):  # of a constant there is none
                    into.put(model, model_name(*new))


def _whole(attributes: Mapping[str, Any], had: Numbering) -> dict[str, Parts]:
    """Return by the first of them the jobs on each split, where all that there are have ended.

    Of those that were taken over before, which count as one there, also what they were.
    """
    finished: list[str] = attributes.get(EVALUATED, [])
    before: Mapping[str, int] = attributes.get(TAKEN_OVER, {})
    width = attributes.get(SEEDS_TOGETHER, had.seeds)
    found: dict[str, Parts] = {}
    for job in finished:
        label, number = _parted(job)
        parts = had.parts(before.get(_where(job, had), 0), width)
        needed = {f"{_stem(job)}/{number + seeds[0]}" for seeds in parts}
        if had.of(number).seed == 0 and needed <= {*finished}:
            split = range(number, number + had.seeds)
            own = (one for one in finished if _parted(one)[0] == label)
            found[job] = tuple(one for one in own if _parted(one)[1] in split)
    return found


def _where(job: str, had: Numbering) -> str:
    """Return of which label and on which of the splits a job is, as studies note it."""
    label, number = _parted(job)
    return f"{label}/{had.of(number).place}"


def _kept_in(home: Path) -> Callable[[str], bool]:
    return lambda job: holds_scores(scores_file(home, *_parted(job)))


def _stem(run: str) -> str:
    """Return of the name of a run, or of a job, what stands before its number."""
    return run.rpartition("/")[0]


def _parted(run: str) -> LabelAndNumber:
    """Return of which label a run or a job is, and its number, from its name."""
    return run.partition("/")[0], int(run.rpartition("/")[2])
