"""Sweeps that are killed, robbed of workers, or stopped: nothing is lost and nothing twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest

from gatelab.sweeps.cluster.storage import STATES
from gatelab.sweeps.driver.ray_jobs import LOST_WORKERS
from gatelab.sweeps.search.studies import STATE_ATTRIBUTE
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.mlflow_store import default_uri
from tests import in_process
from tests.commands import kill_session, launched, run, wait_for
from tests.launched import MODULE, SPEC, read, studies

pytestmark = pytest.mark.slow

LONG = SPEC.replace("trials: 4", "trials: 6").replace("max_epochs: 6", "max_epochs: 40")


def check_complete(folder: Path, name: str, trials: int) -> None:
    record = read(folder, name)
    assert Counter(r.stage for r in record.runs) == {
        "sweep": 1,
        "gate": 3,
        "search": 3 * trials,
        "evaluate": 9,
    }
    assert {r.status for r in record.runs} == {"FINISHED"}
    uri = default_uri(folder / "gatelab_runs")
    for found in record.of("search") + record.of("evaluate"):
        steps = [step for step, _ in history(uri, found.run_id, "val/loss")]
        assert steps == sorted(set(steps)), "an epoch was recorded twice"
        assert steps[: int(found.tags["end.epoch"])] == list(
            range(1, int(found.tags["end.epoch"]) + 1)
        )
    for study in studies(folder, name).values():
        assert len(study.get_trials()) == trials
        assert all(trial.state.is_finished() for trial in study.get_trials())


def test_kill_and_resume(place: Path) -> None:
    """After kill -9, resume brings every trial to its end, none lost and none twice."""
    (place / "killed.yaml").write_text(LONG.replace("small", "killed"))
    journal = place / "gatelab_runs" / "spool" / "killed.jsonl"
    process = launched(place, "launch", "killed.yaml")
    wait_for(journal, '"kind": "end"', 4, process)
    kill_session(process)
    ended_before = journal.read_text().count('"kind": "end"')
    run(place, "resume", "killed")
    check_complete(place, "killed", 6)
    assert 4 <= ended_before < 6 * 3


def test_a_lost_worker_loses_nothing(place: Path) -> None:
    """After kill -9 of each worker, their trials go on elsewhere, and end as if nothing were."""
    (place / "mine.py").write_text(MODULE)
    gates = "gates: {first: {gate: 'mine:mean'}, second: {gate: 'mine:mean'}, third: top_k}"
    text = LONG.replace("gates: [dselect_k, top_k, softmax]", gates).replace(
        "third: top_k", "top_k:"
    )
    (place / "lost.yaml").write_text(text.replace("small", "lost"))
    journal = place / "gatelab_runs" / "spool" / "lost.jsonl"
    process = launched(place, "launch", "lost.yaml")
    wait_for(journal, '"kind": "end"', 2, process)
    for trace in place.glob("process-*"):
        pid = int(trace.name.removeprefix("process-"))
        if pid != process.pid:
            os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    check_complete(place, "lost", 6)
    assert {run.end for run in read(place, "lost").of("search")} == {"finished", "pruned"}


SLOW = '''
import os, time
from pathlib import Path
from gatelab.gates import SoftmaxGate, register_gate

@register_gate("slow")
class Slow(SoftmaxGate):
    """Takes its time, and says in which process."""
    def forward(self, x):
        (Path(__file__).parent / "worker").write_text(str(os.getpid()))
        time.sleep(0.1)
        return super().forward(x)
'''


def test_a_job_that_gets_on_may_lose_any_number_of_workers(place: Path) -> None:
    (place / "mine.py").write_text(SLOW)
    text = SPEC.replace("[dselect_k, top_k, softmax]", "['mine:slow']").replace("small", "hunted")
    text = text.replace("max_epochs: 6", "max_epochs: 33").replace("trials: 4", "trials: 1")
    text = text.replace("grace_epochs: 2", "grace_epochs: 1").replace("seeds: 3", "seeds: 1")
    (place / "hunted.yaml").write_text(text.replace("batch_size: 64", "batch_size: 256"))
    process = launched(place, "launch", "hunted.yaml")
    home, kills, known = place / "gatelab_runs" / "sweeps" / "hunted", 0, set[Path]()
    while process.poll() is None and kills < LOST_WORKERS + 2:
        time.sleep(0.02)
        # os.walk: a folder may be gone before it is looked into.
        saved = {Path(it) for it, *_ in os.walk(home) if Path(it).name.startswith("checkpoint_")}
        if saved - known:
            known |= saved
            os.kill(int((place / "worker").read_text()), signal.SIGKILL)
            kills += 1
    output, _ = process.communicate()
    assert (process.returncode, kills) == (0, LOST_WORKERS + 2), output
    assert [run.end for run in read(place, "hunted").of("search")] == ["finished"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_and_resume(number: signal.Signals, place: Path) -> None:
    """Ctrl-C and SIGTERM stop cleanly, and it is said how to go on."""
    (place / "stopped.yaml").write_text(LONG.replace("small", "stopped"))
    journal = place / "gatelab_runs" / "spool" / "stopped.jsonl"
    process = launched(place, "launch", "stopped.yaml")
    wait_for(journal, '"kind": "end"', 3, process)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert output.strip().endswith("`gatelab resume stopped` goes on where it was.")
    assert "Traceback" not in output
    states = place / "gatelab_runs" / "sweeps" / "stopped" / STATES
    check_states(states, studies(place, "stopped"))
    if number == signal.SIGINT:
        run(place, "resume", "stopped")
    else:  # what is left is the same, and so is a resume
        in_process.gatelab(place, "resume", "stopped")
    check_complete(place, "stopped", 6)
    assert not states.exists()


def check_states(folder: Path, found: Mapping[str, optuna.Study]) -> None:
    """Check that Tune's own state, written once, has no trial, and no ended trial a state."""
    (state,) = folder.glob("experiment_state-*.json")
    assert json.loads(state.read_text())["trial_data"] == []
    ended = {
        Path(trial.user_attrs[STATE_ATTRIBUTE]).parent
        for study in found.values()
        for trial in study.get_trials()
        if trial.state.is_finished() and STATE_ATTRIBUTE in trial.user_attrs
    }
    left = {path.parent for path in folder.rglob("checkpoint_*")}
    assert ended and left and not ended & left
