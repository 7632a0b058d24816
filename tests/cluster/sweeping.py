"""A sweep on the hosts, launched as a user does, and what MLflow holds of it in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.cluster import ROLES, Cluster
from cluster.hosts import wait
from gatelab.tracking.mlflow_tags import IDENTITY, restored

GATES = '''
import time
from pathlib import Path
from gatelab.gates import SoftmaxGate, TopKGate, register_gate

def pause():
    time.sleep({slow} if Path("/home/gl/slow").exists() else {pace})

@register_gate("soft")
class Soft(SoftmaxGate):
    """A gate that takes its time, but no CPU's."""
    def forward(self, x):
        pause()
        return super().forward(x)

@register_gate("top")
class Top(TopKGate):
    """As above."""
    def forward(self, x):
        pause()
        return super().forward(x)
'''
BRISK, SLOW = 0.02, 2.0
"""Seconds of a gate's call, and where a host is to be slow: what a sweep learns does not depend on
them, how long it takes does. Thirty-five calls are a trial."""
TRIALS, SEEDS = 18, 2
"""Of each of the two gates, unless told otherwise: four may end before each of five faults."""
SPEC = """
name: {name}
task: {{name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}}
model: {{num_experts: 4}}
gates: ["slow_gates:soft", "slow_gates:top"]
baselines: false
optimizer: {{learning_rate: {{low: 1e-4, high: 1e-1, log: true}}}}
training: {{max_epochs: 8, batch_size: 32, patience: null}}
search: {{trials: {trials}, sampler: random, seed: 7, early_stopping: {halving}}}
resources: {{members: {members}}}
evaluation: {{seeds: {seeds}}}
"""
ALONE = {"halving": "false", "members": 1}
"""Every trial is a job of its own, to its end."""
TOGETHER = {"halving": "{grace_epochs: 2, reduction_factor: 2}", "members": 3}
"""A job is of up to three trials that train as one, as far as a rung at which half of them end."""
READ = """
import json, os, sys
from sqlalchemy import create_engine, text

MINE = "(SELECT run_uuid FROM tags WHERE key = 'sweep' AND value = :sweep)"
QUERIES = {
    "runs": f"SELECT run_uuid, status FROM runs WHERE run_uuid IN {MINE}",
    "tags": f"SELECT run_uuid, key, value FROM tags WHERE run_uuid IN {MINE}",
    "params": f"SELECT run_uuid, key, value FROM params WHERE run_uuid IN {MINE}",
    "rows": f"SELECT run_uuid, key, step, value FROM metrics WHERE run_uuid IN {MINE}",
}
socket = f"{os.environ['GATELAB_FOLDER']}/postgres"
with create_engine(f"postgresql+psycopg://gatelab@/postgres?host={socket}").connect() as database:
    asked = {name: database.execute(text(query), {"sweep": sys.argv[1]})
             for name, query in QUERIES.items()}
    json.dump({name: [list(row) for row in found] for name, found in asked.items()}, sys.stdout)
"""
SHOWN = 5
"""So many of what is missing or too much are restored."""


@dataclass(frozen=True)
class Account:
    """What MLflow's database holds of a sweep, without what differs between equal ones."""

    runs: Counter[tuple[str, str, str, str]]
    """How often each is there: its identity after the sweep's name, status, end and reason."""
    params: dict[str, dict[str, str]]
    """By the same identity."""
    rows: Counter[tuple[str, str, int]]
    """How often each is there: identity, metric and step."""
    values: dict[tuple[str, str, int], float]

    @property
    def failed(self) -> list[str]:
        """The trials and seeds that ended as failed, with the reasons."""
        return [f"{name}: {reason}" for name, _, end, reason in self.runs if end == "failed"]

    def differences(self, undisturbed: Account) -> list[str]:
        """Return what is not as in another sweep of the same spec: nothing, if all went well."""
        found = [
            *_differences("run", self.runs, undisturbed.runs),
            *_differences("row", self.rows, undisturbed.rows),
        ]
        for what in ("params", "values"):
            mine, theirs = getattr(self, what), getattr(undisturbed, what)
            found += [
                f"{what} of {key}: {mine[key]} instead of {theirs[key]}"
                for key in mine.keys() & theirs.keys()
                if mine[key] != theirs[key]
            ]
        return found


def _differences(what: str, mine: Counter[Any], theirs: Counter[Any]) -> list[str]:
    """Return what is missing or too much."""
    lost, more = theirs - mine, mine - theirs
    return [
        f"{sum(counts.values())} {what}s {how}: {list(counts)[:SHOWN]}"
        for how, counts in (("lost", lost), ("too much", more))
        if counts
    ]


class Sweeping:
    """A sweep of two gates on a cluster, driven from a folder of the user's machine."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        name: str,
        trials: int = TRIALS,
        pace: float = BRISK,
        jobs: Mapping[str, object] = ALONE,
    ) -> None:
        """Write what is launched."""
        self.cluster, self.folder, self.name, self.jobs = cluster, folder, name, jobs
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "slow_gates.py").write_text(GATES.format(pace=pace, slow=SLOW))
        text = SPEC.format(name=name, trials=trials, seeds=SEEDS, **jobs)
        (folder / f"{name}.yaml").write_text(text)

    def gatelab(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command through a tunnel."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.cluster.tunnel() as tunnel:
            result = subprocess.run(
                [sys.executable, "-m", "gatelab", *arguments, "--address", tunnel.dashboard],
                env={**kept, **self.cluster.environment, "MLFLOW_TRACKING_URI": tunnel.mlflow},
                cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        assert not check or not result.returncode, result.stdout + result.stderr
        return result

    def launch(self, *options: str) -> str:
        """Launch, and leave it alone unless an option says otherwise; return what is said."""
        result = self.gatelab("launch", f"{self.name}.yaml", *options)
        return result.stdout + result.stderr

    @contextmanager
    def slowly(self) -> Iterator[None]:
        """Let trials take long meanwhile, so that what happens happens to them."""
        marks = [host.home / "slow" for host in self.cluster.hosts]
        for mark in marks:
            mark.touch()
        try:
            yield
        finally:
            for mark in marks:
                mark.unlink()

    def resume(self) -> None:
        """Resume, as soon as the cluster has seen that no driver runs."""
        wait(lambda: not self._live(), 180, "its end", every=0.5)
        self.gatelab("resume", self.name)

    def _live(self) -> bool:
        """Return whether the cluster takes the driver for one that runs."""
        answer = self.cluster.ask("/api/jobs/", check=False)
        jobs = [job for job in json.loads(answer or "[]") if "sweep" in (job["metadata"] or {})]
        states = {job["status"] for job in jobs if job["metadata"]["sweep"] == self.name}
        return not answer or not states.isdisjoint(("PENDING", "RUNNING"))

    def ended(self) -> int:
        """Return how many trials and seeds have ended."""
        count = f"""grep -c '"kind": "end"' ~/gatelab/spool/{self.name}.jsonl"""
        return int(self.cluster.head.ssh(count, check=False).stdout or 0)

    def wait_for(self, count: int) -> None:
        """Wait until so many trials have ended."""
        wait(lambda: self.ended() >= count, 180, f"{count} ended trials of {self.name}", every=0.5)

    def finish(self) -> None:
        """Wait for the end, which must be a good one."""
        self.gatelab("logs", self.name, "--follow")

    def log(self) -> str:
        """Return what its drivers have said, as Ray keeps it on the head."""
        logs = f"cat /tmp/ray/session_latest/logs/job-driver-{self.name}-*.log"
        return self.cluster.head.ssh(logs).stdout

    def account(self) -> Account:
        """Read MLflow's database."""
        command = f". ~/.gatelab/env; python - {self.name}"
        found = json.loads(self.cluster.head.ssh(command, stdin=READ).stdout)
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in found["tags"]:
            tags.setdefault(run, {})[key] = value
        identities = {run: restored(tags[run])[IDENTITY] for run, _ in found["runs"]}
        names = {run: name.removeprefix(self.name) for run, name in identities.items()}
        params: dict[str, dict[str, str]] = {name: {} for name in names.values()}
        for run, key, value in found["params"]:
            params[names[run]][key] = value
        rows = [(names[run], key, step) for run, key, step, _ in found["rows"]]
        ends = [
            (name, status, tags[run].get("end", ""), tags[run].get("end.reason", ""))
            for (run, status), name in zip(found["runs"], names.values(), strict=True)
        ]
        return Account(
            runs=Counter(ends),
            params=params,
            rows=Counter(rows),
            values={
                row: value
                for row, (*_, value) in zip(rows, found["rows"], strict=True)
                if not row[1].startswith(("time/", "std/time/"))
            },
        )

    def left_behind(self) -> list[str]:
        """Return what a sweep that has ended still occupies: processes, or else shares of CPUs."""
        roles = (ROLES["driver"], ROLES["trial"])
        processes = [
            f"{host.name}: {process.command}"
            for host in self.cluster.hosts
            for role in roles
            for process in host.find(role)
        ]
        return processes or self._busy()

    def _busy(self) -> list[str]:
        used = json.loads(self.cluster.ask("/api/cluster_status?format=1"))["data"]["clusterStatus"]
        shares = [line.strip() for line in used.splitlines() if line.strip().endswith(" CPU")]
        return [line for line in shares if not line.startswith("0.0/")]
