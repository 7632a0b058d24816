"""A worker: it does a sweep's jobs, one after another, in a process of Ray's.

It imports nothing of the search, which every worker would wait for. A driver imports it after what
Ray reads is set, by :mod:`.ray_jobs`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune
from ray.tune import Checkpoint

from gatelab.sweeps.cluster.joining import find_modules
from gatelab.sweeps.cluster.storage import AT_RUNGS, Storage, model_name, when_there_is_room
from gatelab.sweeps.worker.kept_tasks import KeptTasks
from gatelab.sweeps.worker.same_data import ChangedData
from gatelab.sweeps.worker.unpacked_classes import unpack_classes
from gatelab.training.beginning import begin_work
from gatelab.training.constant import ConstantWork
from gatelab.training.jobs import Job, Setting
from gatelab.training.states import STATE_FILE, StateError, States, read_state
from gatelab.training.steps import Step, failed
from gatelab.training.work import Work

os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # a task's relative paths are the user's


class Worker(tune.Trainable):
    """Does jobs after jobs in one process: starting a process costs more than most of them."""

    def setup(
        self, config: dict[str, Any], setting: Setting | None = None, folder: str | None = None
    ) -> None:
        """Take the first jobs, of a driver whose own modules lie in a folder."""
        assert setting is not None
        find_modules(folder)
        unpack_classes(setting.classes)
        self.setting = setting
        self.tasks = KeptTasks(data=setting.data)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take other jobs; they are begun in the first step, so that an error there is reported."""
        self.jobs = [Job.from_plain(plain) for plain in new_config["jobs"]]
        self.step_seconds: float = new_config["step_seconds"]
        self.places: list[str | None] = new_config["states"]
        self.saved: States | None = None
        self.lost: list[str] = []
        """What is wrong with states that there should be."""
        self.work: Work | ConstantWork | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Work for a while, and report it as one JSON text, which Tune leaves as it is.

        Without a text: jobs of which one raised are to be tried apart, or the sweep is to stop
        for a reason that is none of theirs.
        """
        try:
            self.work = self.work or self._begin()
            steps = self.work.step()
            if steps[0].endings is not None and self.jobs[0].stage == "evaluate":
                self._leave_model(self.work)
            states = self._leave_states(self.work, steps)
        except KeyboardInterrupt:
            raise
        except ChangedData as error:
            return {"steps": None, "states": [], "should_checkpoint": False, "stop": str(error)}
        except BaseException as error:  # a gate's or a task's: it ends this job alone
            if len(self.jobs) > 1:
                self.work = None  # or its memory would be lacking where they are tried apart
                return {"steps": None, "states": [], "should_checkpoint": False}
            raised = replace(failed(error, self.jobs[0]), seconds=_trained(self.work))
            steps, states = [raised], [None]
        # Not `done`: Tune then asks no scheduler. The sweep's answer to the result ends the trial.
        under_way = steps[0].endings is None and states[0] is None
        told = json.dumps([asdict(step) for step in steps])
        return {"steps": told, "states": states, "should_checkpoint": under_way}

    def _begin(self) -> Work | ConstantWork:
        work = self._new_work()
        if isinstance(work, ConstantWork):
            return work
        states = self._read_states() if self.saved is None else self.saved
        try:
            restored = work.restore(states)
        except StateError as error:
            self.lost.append(f"its state {error}")
            restored = False
        lost, self.lost = self.lost, []
        if not restored:
            work.training.notes += [f"{_who(self.jobs)} anew, since {why}" for why in lost]
        return work

    def _new_work(self) -> Work | ConstantWork:
        setting = self.setting
        return begin_work(
            self.tasks.get(setting.task, setting.task_options, self.jobs[0].split_seed),
            self.jobs,
            setting.recipe,
            setting.metrics,
            "cuda" if setting.gpus else "cpu",
            self.step_seconds,
            setting.goal,
        )

    def _read_states(self) -> States:
        """Return the jobs' states that a stop or a rung has left.

        One that was saved in the middle holds all of the jobs that trained together: the newest
        such, if a stop came while they were noted one after another.
        """
        given = dict.fromkeys(place for place in self.places if place is not None)
        found = {place: self._read_state(place) for place in given}
        keys = [job.key for job in self.jobs]
        whole = [states for states in found.values() if states.keys() >= set(keys)]
        if whole:
            return max(whole, key=lambda states: states[keys[0]]["epoch"])
        places = zip(keys, self.places, strict=True)
        own = {key: found.get(place or "", {}) for key, place in places}
        return {key: states[key] for key, states in own.items() if key in states}

    def _read_state(self, place: str) -> States:
        storage = Storage(self.setting.storage)
        path = storage.path(place)
        try:
            with Checkpoint(path, storage.files).as_directory() as folder:
                return read_state(Path(folder))
        except StateError as error:  # without it the job begins anew
            self.lost.append(f"its state {error}: {path}")
        except OSError as error:
            self.lost.append(f"its state cannot be read ({error})")
        return {}

    def _leave_model(self, work: Work | ConstantWork) -> None:
        if isinstance(work, ConstantWork):
            return
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            work.save_model(path)
            storage = Storage(self.setting.storage)
            name = model_name(self.jobs[0].label, self.jobs[0].number)
            when_there_is_room(lambda: storage.put(path, name))

    def _leave_states(self, work: Work | ConstantWork, steps: Sequence[Step]) -> list[str | None]:
        """Write the states of trials that wait at a rung; return where in the storage they lie."""
        return [
            self._leave_state(work, job)
            if step.endings is None and step.epoch == job.until
            else None
            for job, step in zip(self.jobs, steps, strict=True)
        ]

    def _leave_state(self, work: Work | ConstantWork, job: Job) -> str:
        storage = Storage(self.setting.storage)
        name = f"{waiting(job)}/{job.until}"
        with TemporaryDirectory() as folder:
            work.save(Path(folder), job.key)
            path = Path(folder) / STATE_FILE
            when_there_is_room(lambda: storage.put(path, f"{name}/{STATE_FILE}"))
        return name

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Save the work's state where Tune keeps it."""
        return when_there_is_room(lambda: tune.Trainable.save(self, checkpoint_dir))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the work's state."""
        assert self.work is not None
        self.work.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from a state, after a worker was lost."""
        self.saved, self.work = None, None
        try:
            self.saved = read_state(Path(checkpoint))
        except StateError as error:  # an older one that was noted is taken instead, or none
            self.lost.append(f"its newest state {error}")


def _trained(work: Work | ConstantWork | None) -> float:
    """Return for how long a member of work has trained, the mean over them."""
    return mean(work.seconds) if isinstance(work, Work) else 0.0


def waiting(job: Job) -> str:
    """Return the folder of a storage for the states of a trial at its rungs."""
    return f"{AT_RUNGS}/{job.key}"


def _who(jobs: Sequence[Job]) -> str:
    """Return which jobs begin, as is said of them."""
    numbers = ", ".join(str(job.number) for job in jobs)
    if jobs[0].stage == "evaluate":
        return "its evaluation begins"
    return f"trial {numbers} begins" if len(jobs) == 1 else f"trials {numbers} begin"
