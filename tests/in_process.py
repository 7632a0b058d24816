"""Sweeps whose jobs run in this process, one after another: a test double of the cluster.

A sweep hands out jobs and takes in what comes of them (:class:`Sweep`); it does not know who runs
them. For a user that is Ray. Here it is Ray's worker without Ray, and all else is real: the search,
the training, the record in MLflow, the comparison and its report. So a test that is not about Ray
has a finished sweep in seconds. What only Ray has is missing: processes of their own, jobs side by
side, workers that are lost. And a report has no figures, which take longer to draw than the small
sweeps of tests to run; who looks at them asks for them.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatelab.gates.gate import gates
from gatelab.registry import Registry
from gatelab.sweeps.cli import main
from gatelab.sweeps.cluster import doctor, slots, starting
from gatelab.sweeps.cluster.nodes import Node
from gatelab.sweeps.cluster.sizing import needs
from gatelab.sweeps.driver import remainder
from gatelab.sweeps.driver.sweep import Jobs, Sweep
from gatelab.sweeps.driver.tune import ray_hooks, ray_jobs
from gatelab.sweeps.worker.worker import Worker as RaysWorker
from gatelab.tasks.loss import losses
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import tasks
from gatelab.training.jobs import Setting
from gatelab.training.learners import learners
from gatelab.training.work import STEP_SECONDS

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HERE = Node(id="0", name="127.0.0.1", cpus=1, gpus=0, head=True)


class Worker(RaysWorker):
    """Ray's worker, made without Tune, for jobs that are handed out together."""

    def __init__(self, setting: Setting, jobs: Jobs, states: Sequence[str | None]) -> None:
        self.setup(_given(jobs, states), setting)

    def take(self, jobs: Jobs, states: Sequence[str | None]) -> None:
        """Take other jobs, as a worker does that Tune uses again."""
        self.reset_config(_given(jobs, states))


def _given(jobs: Jobs, states: Sequence[str | None]) -> dict[str, Any]:
    plain = [job.to_plain() for job in jobs]
    return {"jobs": plain, "states": states, "step_seconds": STEP_SECONDS}


def run_jobs(sweep: Sweep, setting: Setting, most: int | None = None) -> None:
    """Run jobs until the sweep is finished, or so many at most, as if it were stopped then."""
    done, worker = 0, None
    while done != most and (jobs := sweep.next_jobs()):
        states = [sweep.saved_state(job) for job in jobs]
        if worker is None:
            worker = Worker(setting, jobs, states)
        else:
            worker.take(jobs, states)
        while not ray_hooks.take(sweep, jobs, worker.step()):
            pass
        done += 1


@contextmanager
def in_this_process(most: int | None = None, *, figures: bool = False) -> Iterator[None]:
    """Let what is launched or resumed meanwhile run its jobs here, so many at most.

    Signals do afterwards what they did before.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starting, "start_ray", lambda meanwhile: meanwhile())
        patch.setattr(remainder, "run_jobs", partial(run_jobs, most=most))
        patch.setattr(
            doctor, "check_machine", lambda spec, task, storage: needs(spec, task, [HERE])
        )
        patch.setattr(slots, "slots", lambda cpus, gpus: 1)
        if not figures:  # by its name: matplotlib takes a second to import
            patch.setattr("gatelab.results.report.files.all_figures", lambda review: [])
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """Work in a folder, from which modules can be imported meanwhile, and not afterwards.

    What such a module sets of the driver's, for the processes that import it too, is as before.
    """
    _forget({path.stem for path in folder.glob("*.py")} & set(sys.modules))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_hooks, "STEP_SECONDS", ray_hooks.STEP_SECONDS)
        patch.setattr(ray_jobs, "LOST_WORKERS", ray_jobs.LOST_WORKERS)
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield
    _forget({n for n, m in sys.modules.items() if _lies_in(getattr(m, "__file__", None), folder)})


def _forget(modules: set[str]) -> None:
    """Forget modules, and what they have registered."""
    for name in modules:
        del sys.modules[name]
    registries: tuple[Registry[Any], ...] = (gates, tasks, metrics, losses, learners)
    for registry in registries:
        for name, found in list(registry._classes.items()):
            if found.__module__ in modules:
                del registry._classes[name]


def _lies_in(file: str | None, folder: Path) -> bool:
    return file is not None and Path(file).is_relative_to(folder)


def gatelab(
    folder: Path,
    *arguments: str,
    code: int = 0,
    most: int | None = None,
    figures: bool = False,
) -> str:
    """Run a command that launches or resumes in a folder; return all that it says."""
    with in_this_process(most, figures=figures), modules_of(folder):
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output
