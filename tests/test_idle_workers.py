"""Workers that wait for the others of a round: kept for a while, and no loss where they die."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.execution.tune_controller import TuneController

from gatelab.sweeps.driver.tune.idle_workers import KEPT_SECONDS, IdleWorkers
from tests.commands import launched
from tests.launched import MODULE, SPEC, read
from tests.tune_controller import made_controller

ONE_CPU = tune.PlacementGroupFactory([{"CPU": 1.0}])
HELD = """
    def forward(self, x):
        folder = Path(__file__).parent
        if self.training and (folder / "hold").exists():
            try:
                with (folder / "held").open("x") as held:
                    held.write(str(os.getpid()))
            except FileExistsError:
                time.sleep(0.1)  # another waits; no worker is to do all before the others start
            else:
                while (folder / "hold").exists():
                    time.sleep(0.05)
"""
"""The forward of a gate of which one alone waits for a file to go."""


class Watched:
    """Idle workers of a controller at a time that a test sets, and those that it has ended."""

    def __init__(self, controller: TuneController) -> None:
        self.cache: Any = controller._actor_cache
        self.now = 0.0
        self.controller, self.idle = controller, IdleWorkers(lambda: self.now)
        self.ended: list[str] = []

    def event(self, *idle: str) -> None:
        """Let these become idle at an event, at whose end Tune ends whom it does not keep."""
        self.idle.watch(self.controller, ONE_CPU)
        for worker in idle:
            if not self.cache.cache_object(ONE_CPU, worker):
                self.ended.append(worker)
        self.ended += self.cache.flush_cached_objects()

    def take(self, number: int) -> None:
        for _ in range(number):
            assert self.cache.pop_cached_object(ONE_CPU)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(made_controller(tmp_path))


def test_all_that_wait_are_kept_until_the_time_is_over(watched: Watched) -> None:
    watched.event()
    watched.now = 100.0
    watched.event("a", "b")
    watched.event("c")
    watched.now += KEPT_SECONDS - 1
    watched.event("d")
    assert not watched.ended
    watched.now += 2
    watched.event()
    assert watched.ended == ["a", "b", "c", "d"]


def test_their_time_begins_anew_when_all_have_work_again(watched: Watched) -> None:
    watched.event()
    for _ in range(3):
        watched.event("a", "b")
        watched.event()
        watched.now += KEPT_SECONDS - 1
        watched.event()
        watched.take(2)
        watched.event()
    assert not watched.ended


def test_after_some_were_ended_those_of_the_next_round_are_kept(watched: Watched) -> None:
    watched.event()
    watched.event("a", "b")
    watched.event()
    watched.now += KEPT_SECONDS + 1
    watched.event()
    assert watched.ended == ["a", "b"]
    watched.event("c", "d", "e")
    watched.event()
    assert watched.ended == ["a", "b"]


def test_tune_by_itself_keeps_one(tmp_path: Path) -> None:
    """Else nothing here would be needed."""
    cache: Any = made_controller(tmp_path)._actor_cache
    assert [cache.cache_object(ONE_CPU, worker) for worker in "abc"] == [True, False, False]


@pytest.mark.slow
@pytest.mark.ray
def test_workers_outlast_a_rung_and_those_that_die_there_are_no_loss(tmp_path: Path) -> None:
    """One worker holds the others up until the test has killed all of those."""
    (tmp_path / "mine.py").write_text(_module())
    text = SPEC.replace("[dselect_k, top_k, softmax]", "['mine:mean']").replace("small", "held")
    text = text.replace("trials: 4", "trials: 8, sampler: random")
    (tmp_path / "held.yaml").write_text(f"{text}\nresources: {{cpus: 0.5, members: 1}}\n")
    process = launched(tmp_path, "launch", "held.yaml")
    (tmp_path / "hold").touch()
    workers = wait_until_idle(tmp_path, process.pid, os.cpu_count() or 1)
    assert all(map(runs, workers)), "they wait for the one that is held"
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    (tmp_path / "hold").unlink()
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    for unwanted in ("did not complete", "Traceback", "UserWarning", "failed"):
        assert unwanted not in output.replace("finished/pruned/failed", "")
    record = read(tmp_path, "held")
    trials = [int(run.tags["trial"]) for run in record.of("search")]
    assert sorted(trials) == list(range(8))
    assert {*Counter(run.end for run in record.of("search"))} <= {"finished", "pruned"}
    assert len(record.of("evaluate")) == 3


def _module() -> str:
    imports, gate = MODULE.split("@register_gate", 1)
    gate = gate.split("@register_gate", 1)[0].replace("    def forward(self, x):\n", HELD)
    return f"import time\n{imports}@register_gate{gate}"


def wait_until_idle(folder: Path, driver: int, cores: int) -> list[int]:
    """Wait until workers have made nothing for a while; return those that are not held."""
    deadline = time.monotonic() + 120
    last, since = -1, time.monotonic()
    while True:
        traces = {int(p.name.removeprefix("process-")): p for p in folder.glob("process-*")}
        made = {pid: path.read_text().count("made") for pid, path in traces.items()}
        workers = made.keys() - {driver}
        if sum(made.values()) != last:
            last, since = sum(made.values()), time.monotonic()
        if len(workers) == 2 * cores and time.monotonic() - since > 5:
            return sorted(workers - {int((folder / "held").read_text())})
        assert time.monotonic() < deadline, made
        time.sleep(0.1)


def runs(pid: int) -> bool:
    """Return whether there is a process of this number."""
    return Path(f"/proc/{pid}").exists()
