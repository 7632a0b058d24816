"""Losses: what a sweep's studies note and its spool no longer has, and the other way round.

A run is recorded before the studies note that it has ended, so that no kill parts the two. Where
the spool lacks what they note it was cut, or is another; where they lack much of what it has they
were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gatelab.sweeps.home.files import STUDIES
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.search.study import Study
from gatelab.tracking.recorder import Recorder
from gatelab.training.jobs import Job

TRAINED_AGAIN = (
    "the file {} lacks {} of {} trials that were recorded, or their ends: they are trained again. "
    "A kill loses one at most, a power cut the last ones; of more the file was cut or replaced."
)
NOT_RECORDED = (
    "the spool {} lacks {} of {} trials and evaluations that had been recorded: it was cut, "
    "emptied or replaced, and MLflow has these only where they were delivered before."
)


def told_losses(
    home: Home, recorder: Recorder, studies: Mapping[str, Study], scored: Iterable[Job]
) -> tuple[str, str]:
    """Return a line of what the studies have lost, and one of what the spool has; empty: nothing.

    Args:
        home: Of the sweep.
        recorder: That writes into its spool.
        studies: Every search, by its name.
        scored: The evaluations that have finished.
    """
    over = {f"{home.name}/{run}" for run in _trials(studies, over=True)}
    noted = over | {f"{home.name}/{run}" for job in scored for run in _runs(job)}
    searches = tuple(f"{home.name}/{name}/search/" for name in studies)
    recorded = {run for run in recorder.started if run.startswith(searches)}
    known = {f"{home.name}/{run}" for run in _trials(studies)}
    unknown = (recorded - known) | (recorded & recorder.ended) - over
    return (
        _line(TRAINED_AGAIN, home.path / STUDIES, unknown, recorded),
        _line(NOT_RECORDED, home.spool, noted - recorder.ended, noted),
    )


def _trials(studies: Mapping[str, Study], *, over: bool = False) -> Iterator[str]:
    """Yield the runs of all trials, or of those that have ended."""
    for name, study in studies.items():
        for trial in study.study.get_trials(deepcopy=False):
            if trial.state.is_finished() or not over:
                yield f"{name}/search/{trial.number}"


def _runs(job: Job) -> Iterator[str]:
    return (f"{job.run}/{job.number + index}" for index in range(job.told))


def _line(form: str, file: Path, lost: set[str], of: set[str]) -> str:
    return form.format(file, len(lost), len(of)) if lost else ""
