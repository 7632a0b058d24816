"""Sweeps that are killed, robbed of workers, or stopped: nothing is lost and nothing twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest

from gatelab.sweeps.cluster.storage import STATES
from gatelab.sweeps.search.study import STATE_ATTRIBUTE
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.sqlite import default_uri
from tests import in_process
from tests.commands import kill_session, launched
from tests.launched import MODULE, SPEC, read, studies

pytestmark = [pytest.mark.slow, pytest.mark.ray]

STEADY = (
    MODULE
    + '''
import time
from gatelab.gates import SoftmaxGate
from gatelab.sweeps.driver.tune import ray_jobs, ray_hooks

ray_hooks.STEP_SECONDS = 0.5  # of the driver, which tells its workers

@register_gate("steady")
class Steady(SoftmaxGate):
    """Takes its time, but no CPU's: a trial outlasts several steps of work.

    With a file beside it, it hurries.
    """
    def forward(self, x):
        if not (Path(__file__).parent / "hurry").exists():
            time.sleep(0.01)
        return super().forward(x)
'''
)
LONG = SPEC.replace("max_epochs: 6", "max_epochs: 40").replace(
    "gates: [dselect_k, top_k, softmax]",
    "gates: {steady: {gate: 'mine:steady'}, mean: {gate: 'mine:mean'}, top_k: }",
)
LONG = re.sub("early_stopping: {.*?}", "early_stopping: false", LONG)
LONG += "\nresources: {members: 1}\n"
"""Of a gate's trials some have ended while others run."""
LOST_WORKERS = 1
"""How often the workers of the trial that loses them may be lost in one place."""
IGNORE_CTRL_C = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
"""What a shell does with what it starts in the background."""


def check_complete(folder: Path, name: str, trials: int) -> None:
    """Check that every trial is there, with every epoch once."""
    record = read(folder, name)
    assert Counter(r.stage for r in record.runs) == {
        "sweep": 1,
        "gate": 3,
        "search": 3 * trials,
        "evaluate": 9,
    }
    assert {r.status for r in record.runs} == {"FINISHED"}
    check_epochs(folder, record)
    for study in studies(folder, name).values():
        assert len(study.get_trials()) == trials
        assert all(trial.state.is_finished() for trial in study.get_trials())


def check_epochs(folder: Path, record: SweepRecord) -> None:
    """Check that every epoch up to a run's end is there, once."""
    uri = default_uri(folder / "gatelab_runs")
    for found in record.of("search") + record.of("evaluate"):
        steps = [step for step, _ in history(uri, found.run_id, "val/loss")]
        assert steps == sorted(set(steps)), "an epoch was recorded twice"
        assert steps[: int(found.tags["end.epoch"])] == list(
            range(1, int(found.tags["end.epoch"]) + 1)
        )


def check_states(folder: Path, found: Mapping[str, optuna.Study]) -> None:
    """Check that Tune's own state, of each start, has no trial; and who has a saved state.

    Whoever goes on from one has it, and no trial has that has ended.
    """
    states = [json.loads(path.read_text()) for path in folder.glob("experiment_state-*.json")]
    assert [state["trial_data"] for state in states] == [[], []]
    noted: dict[bool, set[str]] = {True: set(), False: set()}
    for study in found.values():
        for trial in study.get_trials():
            if STATE_ATTRIBUTE in trial.user_attrs:
                noted[trial.state.is_finished()].add(trial.user_attrs[STATE_ATTRIBUTE])
    left = {str(path.relative_to(folder.parent)) for path in folder.rglob("checkpoint_*")}
    assert noted[True] and noted[False] <= left and not noted[True] & left, (noted, left)


def test_robbed_stopped_and_resumed(place: Path) -> None:
    """One sweep loses its workers and is stopped in each way: nothing is lost or there twice."""
    (place / "mine.py").write_text(STEADY)
    (place / "near.yaml").write_text(LONG.replace("small", "near"))
    here = partial(in_process.gatelab, place)
    assert here("status") == "There is no sweep in gatelab_runs yet.\n"
    process = launched(place, "launch", "near.yaml", preexec_fn=IGNORE_CTRL_C)
    wait(process, lambda: ends(place) >= 2)
    commands_beside_it(place)
    lose_workers(place, process)
    before = ends(place)
    # What each of the two had told before it died may be taken in only now.
    wait(process, lambda: ends(place) > before + 2)
    assert here("stop", "near") == "near: stopped; `gatelab resume near` goes on.\n"
    output = check_stopped(process)
    assert "Traceback" not in output
    assert re.search("A worker was lost, as its worker process has died: .* from its last", output)
    assert "is not running on this machine: it is stopped" in here("stop", "near", code=2)
    assert re.search(r"near +stopped .*; `gatelab resume near` goes on", here("status"))

    process = launched(place, "resume", "near")
    before = ends(place)
    wait(process, lambda: ends(place) > before and saved(place, of_ended=True) and saved(place))
    os.killpg(process.pid, signal.SIGTERM)  # as `timeout` and service managers send it: to all
    assert "Traceback" not in check_stopped(process)
    check_states(place / "gatelab_runs" / "sweeps" / "near" / STATES, studies(place, "near"))
    assert ends(place) < 3 * 4 + 9, "it was stopped in the middle"

    (place / "hurry").touch()
    here("resume", "near")  # what is left is the same whoever runs its jobs
    check_complete(place, "near", 4)
    assert {run.end for run in read(place, "near").of("search")} == {"finished"}
    assert not (place / "gatelab_runs" / "sweeps" / "near" / STATES).exists()


def commands_beside_it(place: Path) -> None:
    """What one is told of a sweep that runs on this machine."""
    here = partial(in_process.gatelab, place)
    assert re.search(r"near +running .*steady \d/4; mean \d/4; top_k \d/4", here("status"))
    refused = here("resume", "near", code=2)
    assert "sweep 'near' is running" in refused and refused.count("\n") == 1
    assert "said its lines where it was launched" in here("logs", "near", code=2)
    assert here("status", "neer", code=2) == (
        "gatelab: no sweep 'neer' in gatelab_runs; did you mean 'near'?\n"
    )


def check_stopped(process: subprocess.Popen[str]) -> str:
    """It is said how to go on; return all that is said."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    lines = [line for line in output.splitlines(True) if "(raylet)" not in line]
    output = "".join(lines)  # Ray's word on a worker that died comes at any time
    assert output.endswith("Stopped. `gatelab resume near` goes on where it was.\n")
    return output


def ends(place: Path) -> int:
    """Return how many runs have ended."""
    journal = place / "gatelab_runs" / "spool" / "near.jsonl"
    return journal.read_text().count('"kind": "end"') if journal.exists() else 0


def saved(place: Path, *, of_ended: bool = False) -> bool:
    """Return whether a trial that runs, or one that has ended, has noted where its state is."""
    return any(
        trial.state.is_finished() == of_ended and STATE_ATTRIBUTE in trial.user_attrs
        for study in studies(place, "near").values()
        for trial in study.get_trials()
    )


def newest_state(place: Path, name: str) -> str:
    """Return where the newest state lies that the only trial has noted; nothing before any."""
    (study,) = studies(place, name).values()
    noted = [trial.user_attrs.get(STATE_ATTRIBUTE, "") for trial in study.get_trials()]
    return str(noted[0]) if noted else ""


def wait(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait for what happens while a command runs."""
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def lose_workers(place: Path, driver: subprocess.Popen[str]) -> None:
    """Kill -9 each worker."""
    for trace in place.glob("process-*"):
        pid = int(trace.name.removeprefix("process-"))
        if pid not in (driver.pid, os.getpid()):
            with suppress(ProcessLookupError):  # of a driver before
                os.kill(pid, signal.SIGKILL)


def test_killed_between_rungs_a_sweep_ends_as_one_that_ran_elsewhere(place: Path) -> None:
    """On two workers of Ray, killed and gone on with, or one job after another: it is one table."""
    text = SPEC.replace("trials: 4", "trials: 8").replace("dselect_k", "relu")
    (place / "near.yaml").write_text(text.replace("small", "near"))
    (place / "alone.yaml").write_text(text.replace("small", "alone"))
    process = launched(place, "launch", "near.yaml")
    wait(process, lambda: at_rungs(place) >= 4)
    kill_session(process)
    assert 0 < at_rungs(place) and ends(place) < 3 * 8
    in_process.gatelab(place, "resume", "near")
    in_process.gatelab(place, "launch", "alone.yaml")
    alone, near = (told(place, name) for name in ("alone", "near"))
    assert {key: found[:2] for key, found in near.items()} == {
        key: found[:2] for key, found in alone.items()
    }
    for key, (*_, losses) in alone.items():
        assert near[key][2] == pytest.approx(losses, rel=1e-4), key
    assert {found[1] for found in alone.values()} == {"finished", "pruned"}
    check_epochs(place, read(place, "near"))


def at_rungs(place: Path) -> int:
    """Return how many trials that have not ended wait at a rung, or go on from one."""
    return sum(
        bool(trial.intermediate_values) and not trial.state.is_finished()
        for study in studies(place, "near").values()
        for trial in study.get_trials()
    )


def told(place: Path, name: str) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return the hyperparameters, the end and the losses of every trial and seed."""
    record = read(place, name)
    return {
        (run.gate, run.stage, run.tags.get("trial", ""), run.seed): (
            run.params,
            run.end,
            [run.metrics[key] for key in ("val/loss", "test/loss") if key in run.metrics],
        )
        for run in [*record.of("search"), *record.of("evaluate")]
    }


SLOW = '''
import os, time
from pathlib import Path
from gatelab.gates import SoftmaxGate, register_gate
from gatelab.sweeps.driver.tune import ray_jobs, ray_hooks

ray_hooks.STEP_SECONDS = 0.3  # of the driver, which tells its workers
ray_jobs.LOST_WORKERS = {lost_workers}

@register_gate("slow")
class Slow(SoftmaxGate):
    """Takes its time, and says in which process."""
    def forward(self, x):
        here = Path(__file__).parent
        (here / "worker.new").write_text(str(os.getpid()))
        os.replace(here / "worker.new", here / "worker")
        time.sleep(0.1)
        return super().forward(x)
'''


def test_a_job_that_gets_on_may_lose_any_number_of_workers(place: Path) -> None:
    (place / "mine.py").write_text(SLOW.replace("{lost_workers}", str(LOST_WORKERS)))
    text = SPEC.replace("[dselect_k, top_k, softmax]", "['mine:slow']").replace("small", "hunted")
    text = text.replace("max_epochs: 6", "max_epochs: 33").replace("trials: 4", "trials: 1")
    text = text.replace("seeds: 3", "seeds: 1")
    (place / "hunted.yaml").write_text(text.replace("batch_size: 64", "batch_size: 256"))
    process = launched(place, "launch", "hunted.yaml")  # its first lines come before its home
    wait(process, lambda: (place / "gatelab_runs/sweeps/hunted/studies.journal").exists())
    kills, known = 0, ""
    while process.poll() is None and kills < LOST_WORKERS + 3:
        time.sleep(0.1)
        if (newest := newest_state(place, "hunted")) != known:
            known = newest
            os.kill(int((place / "worker").read_text()), signal.SIGKILL)
            kills += 1
    output, _ = process.communicate()
    assert (process.returncode, kills) == (0, LOST_WORKERS + 3), output
    assert [run.end for run in read(place, "hunted").of("search")] == ["finished"]


TRAINED = """
import os, runpy, signal
from gatelab.sweeps.driver import running

real = running.compare_recorded

def interrupted(*arguments):
    os.kill(os.getpid(), signal.{name})
    return real(*arguments)

running.compare_recorded = interrupted
runpy.run_module("gatelab", run_name="__main__")
"""
"""A command that gets a signal when all is trained, and the record is still to be delivered."""
TINY = """
name: near
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
gates: [softmax]
baselines: false
search: {trials: 1}
training: {max_epochs: 1}
evaluation: {seeds: 2}
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_when_all_is_trained(name: str, tmp_path: Path) -> None:
    """Tune has heard what came before, and must not hear what comes then."""
    (tmp_path / "near.yaml").write_text(TINY)
    words = [sys.executable, "-c", TRAINED.format(name=name), "launch", "near.yaml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 130, done.stdout + done.stderr
    assert done.stderr.endswith("Stopped. `gatelab resume near` goes on where it was.\n")
    assert "softmax: done" in done.stdout
    in_process.gatelab(tmp_path, "resume", "near")
    assert (tmp_path / "gatelab_runs/sweeps/near/report/report.html").is_file()
