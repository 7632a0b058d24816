"""What Tune's loop asks of a sweep, and what it tells it: jobs, results, saved states.

To be imported after :mod:`.ray_jobs`, which sets what Ray reads when it is imported. Of Tune's
controller three private attributes are used: ``_checkpoint_manager``, ``_trial_to_actor`` and
``_actor_manager``; tests/test_private_attributes.py guards them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from ray import tune
from ray.tune import Callback, Checkpoint
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from gatelab.sweeps.cluster.slots import slots
from gatelab.sweeps.cluster.storage import Storage
from gatelab.sweeps.driver.listener import Listener
from gatelab.sweeps.driver.sweep import Jobs, Sweep
from gatelab.sweeps.driver.tune.idle_workers import IdleWorkers
from gatelab.sweeps.worker.worker import waiting
from gatelab.training.jobs import Job, Setting
from gatelab.training.steps import Ending, Step
from gatelab.training.work import STEP_SECONDS

SLOTS_SECONDS = 1.0
"""How long the cluster's size is taken as known: Tune wants it at every event, and Ray asks its
head, the longer the more nodes there are."""
STEPS_A_SECOND = 50.0
"""Of all trials together that end because of the time: more of them at once take longer steps."""
KEPT_STATES = 2
"""Of a trial: while the newest is being noted, the one that is noted is still there."""


class JobSource(Searcher):
    """Hands the sweep's jobs to Tune: as many as can run, and one that waits."""

    def __init__(self, sweep: Sweep, setting: Setting) -> None:
        """Hand out the jobs of a sweep, which have a setting in common."""
        super().__init__()
        self.sweep, self.setting = sweep, setting
        self.slots, self.asked = 0, float("-inf")

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next job as a trial's configuration; ``None`` while there is none."""
        if time.monotonic() - self.asked > SLOTS_SECONDS:
            self.slots = slots(self.setting.cpus, self.setting.gpus)
            self.asked = time.monotonic()
        full = self.sweep.busy > self.slots
        jobs = () if full else self.sweep.next_jobs()
        if not jobs:
            end: Any = Searcher.FINISHED  # a text, whatever the signature says
            return end if self.sweep.finished or self.sweep.stopped else None
        return {
            "jobs": [job.to_plain() for job in jobs],
            "states": [self.sweep.saved_state(job) for job in jobs],
            "step_seconds": max(STEP_SECONDS, self.slots / STEPS_A_SECOND),
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the sweep hears of it from the scheduler."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing of the sweep, which Tune would write beside its own state."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: what a resume needs is in the studies."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as for saving."""


def _write_nothing(**_: Any) -> None:
    """Stand for what Tune does to write its state."""


class Results(FIFOScheduler):
    """Takes every result to the sweep, and stops the trials that it prunes."""

    def __init__(self, sweep: Sweep) -> None:
        """Take results to a sweep."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.sweep = sweep
        self.begun = False
        self.idle_workers = IdleWorkers()
        self.resources: tune.PlacementGroupFactory | None = None

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Let Tune write its own state once, which it looks for at its end, and then no more.

        By itself it would write all trials so far again after every second state that a trial
        saves, and at the end: a time that grows with their square. A resume goes by the studies.
        """
        if not self.begun:
            self.begun = True
            tune_controller.checkpoint(force=True, wait=True)
            tune_controller._checkpoint_manager.sync_up_experiment_state = _write_nothing
        # The same for all, but Tune compares each trial's own part by part, many times an event.
        self.resources = self.resources or trial.placement_group_factory
        trial.placement_group_factory = self.resources  # type: ignore[assignment]

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Return whether the trial goes on."""
        over = take(self.sweep, _jobs(trial), result)
        return TrialScheduler.STOP if over else TrialScheduler.CONTINUE

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return the trial that has waited longest and has no worker of its own on the way.

        Tune gives the first that waits whichever worker is free, and ends the one on its way to
        it: where jobs take less time than a worker's start, one worker would do them all. Its
        trials stand in the order in which they were handed out; their ids are drawn at random.
        """
        if self.resources is not None:
            self.idle_workers.watch(tune_controller, self.resources)
        actors, manager = tune_controller._trial_to_actor, tune_controller._actor_manager
        trials: list[Trial] = tune_controller.get_trials()
        for trial in trials:
            coming = trial in actors and manager.is_actor_started(actors[trial])
            if trial.status == Trial.PENDING and not coming:
                return trial
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing of the sweep, as above."""
        return {}

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Take in that a trial's worker was lost."""
        if trial.status == Trial.ERROR:
            return  # Tune goes on with it elsewhere
        if trial.should_recover():  # its worker was lost before it began, and Tune drops it
            self.sweep.take_back(_jobs(trial))
        else:
            self.sweep.lose(_jobs(trial), f"its worker was lost {trial.num_failures} times")


class SavedStates(Callback):
    """Tells the sweep where states are saved, and deletes what nobody will read.

    Tune would delete in its loop, which then waits for the answers of an object store.
    """

    def __init__(self, sweep: Sweep, storage: Storage, deleting: Executor) -> None:
        """Tell a sweep, and delete from a storage by an executor of its own."""
        self.sweep, self.storage, self.deleting = sweep, storage, deleting
        self.kept: dict[str, list[Checkpoint]] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Drop a result once it is taken in, which Tune's own state would keep."""
        result.pop("steps", None)
        if result.get("done"):
            result["should_checkpoint"] = False

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Drop a trial that has ended, in whose folder Tune would look for results at its end."""
        if trial in trials:
            trials.remove(trial)
        if not self._going(trial):
            for checkpoint in self.kept.pop(trial.trial_id, []):
                self._delete(checkpoint)
            # What it went on from, of a start before or of those that it was parted from.
            for folder in dict.fromkeys(trial.config["states"]):
                if folder is not None and not self.sweep.needs(folder):
                    self._delete(Checkpoint(self.storage.path(folder), self.storage.files))

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **_: Any
    ) -> None:
        """Take in that a state is saved, which makes an older one useless."""
        if not (going := self._going(trial)):  # they ended while they were saved
            self._delete(checkpoint)
            return
        for job in going:
            self.sweep.keep_state(job, self.storage.name(checkpoint.path))
        # A job that gets on may lose any number of workers, as on machines that are taken away.
        trial.run_metadata.num_failures = 0
        kept = self.kept.setdefault(trial.trial_id, [])
        kept.append(checkpoint)
        if len(kept) > KEPT_STATES:
            self._delete(kept.pop(0))

    def _delete(self, checkpoint: Checkpoint) -> None:
        self.deleting.submit(_delete, checkpoint)

    def _going(self, trial: Trial) -> list[Job]:
        return [job for job in _jobs(trial) if self.sweep.goes_on(job)]

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing of the sweep, as above."""
        return {}


class WaitingStates(Listener):
    """Deletes what trials have left at their rungs, once they have ended."""

    def __init__(self, storage: Storage, deleting: Executor) -> None:
        """Delete from a storage, by an executor of its own."""
        self.storage, self.deleting = storage, deleting

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """Delete the states of a trial."""
        if job.stage == "search":
            self.deleting.submit(self.storage.remove, waiting(job))


def take(sweep: Sweep, jobs: Jobs, result: Mapping[str, Any]) -> bool:
    """Take a worker's result to the sweep; return whether its jobs are over.

    In a sweep that stops they are, whatever they have come to; a resume goes on with them.
    """
    sweep.stopped = sweep.stopped or result.get("stop", "")
    if sweep.stopped:
        return True
    if result["steps"] is None:
        sweep.part(jobs)
        return True
    steps = zip(jobs, result["states"], _parse(result["steps"]), strict=True)
    over = [sweep.progress(job, step, state) for job, state, step in steps]
    return all(over)


def _delete(checkpoint: Checkpoint) -> None:
    files = checkpoint.filesystem
    assert files is not None
    with suppress(OSError):  # what stays takes room, and nothing else
        files.delete_dir(checkpoint.path)


def _jobs(trial: Trial) -> Jobs:
    return tuple(Job.from_plain(plain) for plain in trial.config["jobs"])


def _parse(text: str) -> list[Step]:
    return [_step(plain) for plain in json.loads(text)]


def _step(plain: Mapping[str, Any]) -> Step:
    step = Step(**plain)
    if step.endings is not None:
        step.endings = [Ending(**ending) for ending in step.endings]  # type: ignore[arg-type]
    return step
