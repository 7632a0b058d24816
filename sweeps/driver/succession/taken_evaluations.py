"""Taken evaluations: what a sweep has evaluated, as another's that goes on with more seeds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna

from gatelab.sweeps.cluster.storage import Storage, model_name
from gatelab.sweeps.export.recorded import saved_model
from gatelab.sweeps.home.files import scores_file
from gatelab.sweeps.home.scores import read_scores
from gatelab.sweeps.search.attributes import EVALUATED, SEEDS_TOGETHER, TAKEN_OVER
from gatelab.sweeps.search.study_file import DamagedFile
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
    faults: tuple[str, ...] = ()
    """Why others that have finished are evaluated anew, a line each."""

    @classmethod
    def of(
        cls,
        studies: Mapping[str, optuna.Study],
        home: Path,
        storage: Storage,
        had: Numbering,
        has: Numbering,
    ) -> Taken:
        """Return those of a sweep that have finished, and whose scores and model can be read."""
        kept: dict[str, dict[str, Parts]] = {}
        faults: list[str] = []
        for name, study in studies.items():
            kept[name] = {}
            for first, jobs in _whole(study.user_attrs, had).items():
                fault = next(filter(None, (_fault(home, storage, *_parted(j)) for j in jobs)), "")
                if fault:
                    faults.append(f"{fault}: {had.seeds} seeds of {_stem(first)} begin anew.")
                else:
                    kept[name][first] = jobs
        return cls(had, has, kept, tuple(faults))

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


def _fault(home: Path, storage: Storage, label: str, number: int) -> str:
    """Return which file of an evaluation cannot be taken over; empty: none."""
    path, name = scores_file(home, label, number), model_name(label, number)
    try:
        trained = any(one.weights for one in read_scores(path))  # not so a constant
    except DamagedFile:
        return f"{path} does not hold the scores of an evaluation"
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        if not storage.get(name, model):
            return f"{storage.path(name)} is gone" if trained else ""
        try:
            saved_model(model)
        except ValueError:
            return f"{storage.path(name)} is no model that can be read"
    return ""


def _stem(run: str) -> str:
    """Return of the name of a run, or of a job, what stands before its number."""
    return run.rpartition("/")[0]


def _parted(run: str) -> LabelAndNumber:
    """Return of which label a run or a job is, and its number, from its name."""
    return run.partition("/")[0], int(run.rpartition("/")[2])
