"""Taken evaluations: what a sweep has evaluated, as another's that goes on with more seeds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna

from gatelab.sweeps.cluster.storage import Storage
from gatelab.sweeps.driver.evaluations import TAKEN_OVER
from gatelab.sweeps.driver.follow_up import EVALUATED
from gatelab.sweeps.spec.sections import EvaluationSpec

Parts = tuple[str, ...]
"""The names of jobs: one, or two where the first of them was itself taken over."""


@dataclass(frozen=True)
class Taken:
    """The evaluations of a sweep that another takes over, which has more seeds or splits.

    They are numbered by repeat, split and seed, so that each has another number there.
    """

    had: EvaluationSpec
    has: EvaluationSpec
    jobs: Mapping[str, Mapping[str, Parts]]
    """By the search that they follow from, all on one split by the name of the first of them."""

    @classmethod
    def of(
        cls,
        studies: Mapping[str, optuna.Study],
        home: Path,
        had: EvaluationSpec,
        has: EvaluationSpec,
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
        stem, number = _parted(run)
        first = f"{stem}/{number // self.had.seeds * self.had.seeds}"
        return any(first in jobs for jobs in self.jobs.values())

    def renamed(self, run: str) -> str:
        """Return what a run, or a job, is named in the sweep that takes it over."""
        stem, number = _parted(run)
        of_split, seed = divmod(number, self.had.seeds)
        repeat, place = divmod(of_split, self.had.splits)
        return f"{stem}/{(repeat * self.has.splits + place) * self.has.seeds + seed}"

    def mark(self, studies: Mapping[str, optuna.Study]) -> None:
        """Note with the studies of the other sweep what it has of them."""
        for name, jobs in self.jobs.items():
            parts = {_where(job, self.had): self.had.seeds for job in jobs}
            studies[name].set_user_attr(TAKEN_OVER, parts)
            studies[name].set_user_attr(EVALUATED, [self.renamed(job) for job in jobs])

    def copy(self, home: Path, draft: Path, storage: Storage, into: Storage) -> None:
        """Copy scores from one home to another, and models from one storage to another."""
        with TemporaryDirectory() as folder:
            for job in (job for of in self.jobs.values() for jobs in of.values() for job in jobs):
                target = _scores(draft, self.renamed(job))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(_scores(home, job), target)
                model = Path(folder) / "model.pt"
                if storage.get(_model(job), model):  # of a constant there is none
                    into.put(model, _model(self.renamed(job)))


def _whole(attributes: Mapping[str, Any], had: EvaluationSpec) -> dict[str, Parts]:
    """Return by the first of them the jobs on each split, where all that there are have ended."""
    finished = attributes.get(EVALUATED, [])
    before: Mapping[str, int] = attributes.get(TAKEN_OVER, {})
    found: dict[str, Parts] = {}
    for job in finished:
        stem, number = _parted(job)
        taken = before.get(_where(job, had), 0)
        parts = (job, f"{stem}/{number + taken}") if 0 < taken < had.seeds else (job,)
        if number % had.seeds == 0 and {*parts} <= {*finished}:
            found[job] = parts
    return found


def _where(job: str, had: EvaluationSpec) -> str:
    """Return of which label and on which of the splits a job is, as studies note it."""
    return f"{_label(job)}/{_parted(job)[1] // had.seeds % had.splits}"


def _kept_in(home: Path) -> Callable[[str], bool]:
    return lambda job: _scores(home, job).is_file()


def _parted(run: str) -> tuple[str, int]:
    stem, _, number = run.rpartition("/")
    return stem, int(number)


def _label(job: str) -> str:
    return job.partition("/")[0]


def _scores(home: Path, job: str) -> Path:
    return home / "files" / _label(job) / f"evaluation-{_parted(job)[1]}.json"


def _model(job: str) -> str:
    return f"models/{_label(job)}-{_parted(job)[1]}.pt"
