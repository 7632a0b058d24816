"""Ray: a sweep's jobs as the trials of one Tune experiment."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Ray reads these when it is imported. Its own files for each trial (JSON, CSV, TensorBoard) would
# cost more than a short training, and without a token anyone on the machine may run code.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a task's relative paths are the user's
# Tune asks a searcher for one trial ahead; ours says itself how many there may be.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "100000")

import ray
from ray import tune
from ray.tune import Callback, Checkpoint, FailureConfig, RunConfig, TuneConfig
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.autoscaling import may_come
from sweeps.jobs import Job, Setting
from sweeps.nodes import join
from sweeps.storage import Storage
from sweeps.sweep import Sweep
from sweeps.work import STEP_SECONDS, Ending, Step, Work, read_state
from tasks.task import Task, tasks

# Tune would give its workers the driver's keys by a description of their environment, which Ray
# writes into its logs; every node has its own from where Ray was started.
class_cache.ENV_VARS_TO_PROPAGATE -= {
    name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")
}
LOST_WORKERS = 3
"""How often a job is tried again elsewhere from the same state, after its worker was lost."""
SLOTS_SECONDS = 1.0
"""How long the cluster's size is taken as known: Tune wants it at every event, and Ray asks its
head, the longer the more nodes there are."""
STEPS_A_SECOND = 50.0
"""Of all trials together that end because of the time: more of them at once take longer steps."""
KEPT_STATES = 2
"""Of a trial: while the newest is being noted, the one that is noted is still there."""


class Worker(tune.Trainable):
    """Does one job after another in one process: starting a process costs more than most jobs."""

    def setup(self, config: dict[str, Any], setting: Setting | None = None) -> None:
        """Take the first job."""
        assert setting is not None
        self.setting = setting
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another job; it is begun in the first step, so that an error there is reported."""
        self.job = Job.from_plain(new_config["job"])
        self.step_seconds: float = new_config["step_seconds"]
        self.state: str | None = new_config["state"]
        self.saved: dict[str, Any] | None = None
        self.work: Work | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Work for a while, and report it as one JSON text, which Tune leaves as it is."""
        try:
            self.work = self.work or self._begin()
            step = self.work.step()
            if step.endings is not None and self.job.stage == "evaluate":
                self._leave_model(self.work)
        except Exception as error:  # whatever a gate or a task raises ends this job, not the sweep
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            failed = Ending("failed", reason, 0, float("inf"))
            step = Step(0, float("inf"), [], [failed] * len(self.job.members))
        # Not `done`: Tune then asks no scheduler. The sweep's answer to the result ends the trial.
        return {"step": json.dumps(asdict(step)), "should_checkpoint": step.endings is None}

    def _begin(self) -> Work:
        setting = self.setting
        task = _task(setting.task, json.dumps(dict(setting.task_options)))
        device = "cuda" if setting.gpus else "cpu"
        work = Work(task, self.job, setting.recipe, setting.metrics, device, self.step_seconds)
        if self.saved is None and self.state is not None:
            with Checkpoint(self.state, Storage(setting.storage).files).as_directory() as folder:
                self.saved = read_state(Path(folder))
        if self.saved is not None:
            work.restore(self.saved)
        return work

    def _leave_model(self, work: Work) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            work.save_model(path)
            Storage(self.setting.storage).put(path, f"models/{self.job.label}.pt")

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the work's state."""
        assert self.work is not None
        self.work.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from a state, after a worker was lost."""
        self.saved, self.work = read_state(Path(checkpoint)), None


@lru_cache(maxsize=1)
def _task(name: str, options: str) -> Task:
    """Return a task, whose data one process makes once for all its jobs."""
    return tasks.get(name)(**json.loads(options))


class _Jobs(Searcher):
    """Hands the sweep's jobs to Tune: as many as can run, and one that waits."""

    def __init__(self, sweep: Sweep, setting: Setting) -> None:
        super().__init__()
        self.sweep, self.setting = sweep, setting
        self.slots, self.asked = 0, float("-inf")

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if time.monotonic() - self.asked > SLOTS_SECONDS:
            self.slots, self.asked = _slots(self.setting), time.monotonic()
        full = len(self.sweep.running) > self.slots
        job = None if full else self.sweep.next_job()
        if job is None:
            end: Any = Searcher.FINISHED  # a text, whatever the signature says
            return end if self.sweep.finished else None
        return {
            "job": job.to_plain(),
            "state": self.sweep.saved_state(job),
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


def _slots(setting: Setting) -> int:
    """Return how many jobs run at once on the nodes that there are, or that may come if more."""
    now, coming = ray.cluster_resources(), may_come()
    has = {
        "CPU": max(now.get("CPU", 0), sum(node.cpus for node in coming)),
        "GPU": max(now.get("GPU", 0), sum(node.gpus for node in coming)),
    }
    needs = {"CPU": setting.cpus, "GPU": setting.gpus}
    return max(1, min(int(has[name] / need) for name, need in needs.items() if need))


def _write_nothing(**_: Any) -> None:
    """Stand for what Tune does to write its state."""


class _Results(FIFOScheduler):
    """Takes every result to the sweep, and stops the trials that it prunes."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sweep = sweep
        self.begun = False
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
        over = self.sweep.progress(_job(trial), _parse(result["step"]))
        return TrialScheduler.STOP if over else TrialScheduler.CONTINUE

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return the first trial that waits and has no worker of its own on the way.

        Tune gives the first that waits whichever worker is free, and ends the one on its way to
        it: where jobs take less time than a worker's start, one worker would do them all.
        """
        actors, manager = tune_controller._trial_to_actor, tune_controller._actor_manager
        live: set[Trial] = tune_controller.get_live_trials()
        for trial in sorted(live, key=lambda trial: trial.trial_id):
            coming = trial in actors and manager.is_actor_started(actors[trial])
            if trial.status == Trial.PENDING and not coming:
                return trial
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing of the sweep, as above."""
        return {}

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        if trial.status == Trial.ERROR:
            return  # Tune goes on with it elsewhere
        if trial.should_recover():  # its worker was lost before it began, and Tune drops it
            self.sweep.take_back(_job(trial))
        else:
            self.sweep.lose(_job(trial), f"its worker was lost {trial.num_failures} times")


class _States(Callback):
    """Tells the sweep where states are saved, and deletes what nobody will read.

    Tune would delete in its loop, which then waits for the answers of an object store.
    """

    def __init__(self, sweep: Sweep, deleting: Executor) -> None:
        self.sweep, self.deleting = sweep, deleting
        self.kept: dict[str, list[Checkpoint]] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Drop a result once it is taken in, which Tune's own state would keep."""
        result.pop("step", None)
        if result.get("done"):
            result["should_checkpoint"] = False

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Drop a trial that has ended, in whose folder Tune would look for results at its end."""
        if trial in trials:
            trials.remove(trial)
        if _job(trial).name not in self.sweep.running:
            for checkpoint in self.kept.pop(trial.trial_id, []):
                self.deleting.submit(_delete, checkpoint)

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **_: Any
    ) -> None:
        self.sweep.keep_state(_job(trial), checkpoint.path)
        # A job that gets on may lose any number of workers, as on machines that are taken away.
        trial.run_metadata.num_failures = 0
        kept = self.kept.setdefault(trial.trial_id, [])
        kept.append(checkpoint)
        if len(kept) > KEPT_STATES:
            self.deleting.submit(_delete, kept.pop(0))

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing of the sweep, as above."""
        return {}


def _delete(checkpoint: Checkpoint) -> None:
    files = checkpoint.filesystem
    assert files is not None
    with suppress(OSError):  # what stays takes room, and nothing else
        files.delete_dir(checkpoint.path)


def _job(trial: Trial) -> Job:
    return Job.from_plain(trial.config["job"])


def _parse(text: str) -> Step:
    step = Step(**json.loads(text))
    if step.endings is not None:
        step.endings = [Ending(**ending) for ending in step.endings]  # type: ignore[arg-type]
    return step


def run_jobs(sweep: Sweep, setting: Setting) -> None:
    """Run jobs until the sweep is finished, or is interrupted.

    Args:
        sweep: Gives the jobs and takes their results.
        setting: What the jobs have in common.
    """
    join()
    storage = Storage(setting.storage)
    trainable = tune.with_resources(
        tune.with_parameters(Worker, setting=setting), {"cpu": setting.cpus, "gpu": setting.gpus}
    )
    deleting = ThreadPoolExecutor(16, thread_name_prefix="deleting")
    tuner = tune.Tuner(
        trainable,
        tune_config=TuneConfig(
            search_alg=_Jobs(sweep, setting),
            scheduler=_Results(sweep),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=storage.root,
            storage_filesystem=storage.files,
            callbacks=[_States(sweep, deleting)],
            failure_config=FailureConfig(max_failures=LOST_WORKERS),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        deleting.shutdown(cancel_futures=True)
