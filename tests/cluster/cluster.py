"""A cluster of hosts, brought up as docs/cluster.md says, with an object store beside it."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.hosts import ROOT, Host, Process, wait
from cluster.lan import Lan, lan
from cluster.object_store import ObjectStore
from cluster.ports import answers, free_port

ROLES = {
    "node": r"node\.sh run",
    "postgres": r"bin/postgres -D",
    "mlflow": r"mlflow server",
    "proxy": r"cluster/proxy\.py",
    "ray": r"bin/ray start",
    "gcs": r"gcs_server ",
    "raylet": r"raylet/raylet ",
    "dashboard": r"dashboard/dashboard\.py",
    "driver": r"python\S* (\S*/gatelab|-m gatelab)",
    "trial": r"^ray::(ResourceTrainable|Worker)",
}
"""What runs on the hosts, and how its command line is known."""


@dataclass(frozen=True)
class Tunnel:
    """Ports of this machine that lead to the head's loopback, as `ssh -L` makes them."""

    dashboard: str
    """The address of Ray's dashboard and job API."""
    mlflow: str


class Cluster:
    """Hosts of a network, with what the scripts need to bring them up."""

    def __init__(self, network: Lan, store: ObjectStore, settings: Mapping[str, str]) -> None:
        """Write the user's files: hosts and settings.

        Args:
            network: Its hosts are the cluster's, the head first.
            store: Where states, models and artifacts go.
            settings: More lines of settings.env.
        """
        self.lan, self.store = network, store
        self.file = network.folder / "hosts.txt"
        self.settings = network.folder / "settings.env"
        self.file.write_text("".join(f"root@{host.address} {OPTIONS}\n" for host in network.hosts))
        lines = {**store.settings, "GATELAB_VENV": sys.prefix, **MISSED_SOON, **settings}
        self.settings.write_text("".join(f"{key}='{value}'\n" for key, value in lines.items()))
        self.settings.chmod(0o600)

    @property
    def hosts(self) -> list[Host]:
        return self.lan.hosts

    @property
    def head(self) -> Host:
        return self.hosts[0]

    def script(self, command: str, *words: str, check: bool = True) -> str:
        """Run `cluster/hosts.sh COMMAND hosts.txt WORDS` as the user does; return its output."""
        result = subprocess.run(
            [str(ROOT / "cluster" / "hosts.sh"), command, str(self.file), *words],
            env={**os.environ, "GATELAB_SSH": " ".join(self.lan.ssh),
                 "GATELAB_SETTINGS": str(self.settings)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert not check or not result.returncode, result.stdout
        return result.stdout

    def up(self) -> str:
        """Bring up what is not up."""
        return self.script("up")

    def down(self) -> str:
        return self.script("down")

    def add(self) -> Host:
        """Switch on one more host and have it join."""
        host = self.lan.add()
        try:
            self.script("add", f"root@{host.address}", *OPTIONS.split())
        except AssertionError:  # or the tests that follow would look for it
            self._switch_off(host)
            raise
        return host

    def remove(self, host: Host) -> None:
        """Have a host leave, and switch it off for good; the last one that was added."""
        try:
            self.script("remove", f"root@{host.address}")
        finally:
            self._switch_off(host)

    def _switch_off(self, host: Host) -> None:
        host.remove()
        self.hosts.remove(host)

    def mend(self) -> None:
        """Bring everything up again, whatever was switched off, cut, killed or taken down."""
        for host in self.hosts:
            if not host.running:
                host.start()
            host.restore()
        whole = all(host.find(ROLES["raylet"]) for host in self.hosts)
        if not (whole and self.head.find(ROLES["mlflow"])):
            self.up()

    def nodes(self) -> int:
        """Return how many nodes the head's Ray has alive, 0 if it does not answer."""
        return self.ask("/api/v0/nodes?limit=100", check=False).count('"state": "ALIVE"')

    def ask(self, path: str, *, check: bool = True) -> str:
        """Return the answer of the head's Ray.

        The command `ray` asks the same, in seconds of a CPU.
        """
        return self.head.ssh(ASK.format(path=path), check=check).stdout

    def wait_for_nodes(self, count: int, seconds: float = 120) -> None:
        """Wait until Ray has so many nodes.

        Raises:
            TimeoutError: If it has not within so many seconds.
        """
        wait(lambda: self.nodes() == count, seconds, f"{count} nodes", every=0.5)

    def kill(self, host: Host, role: str, sign: int = signal.SIGKILL) -> list[Process]:
        """Send a signal to what has one of the ROLES on a host."""
        return host.kill(ROLES[role], sign)

    @property
    def token(self) -> str:
        """Ray's."""
        return (self.head.home / ".gatelab" / "ray_token").read_text()

    @property
    def password(self) -> str:
        """MLflow's."""
        return self.head.ssh('. ~/.gatelab/env; printf %s "$MLFLOW_TRACKING_PASSWORD"').stdout

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment needs beside the tunnel's addresses."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "MLFLOW_TRACKING_USERNAME": "gatelab",
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }

    @contextmanager
    def tunnel(self) -> Iterator[Tunnel]:
        """Hold SSH's tunnel to the head's loopback."""
        dashboard, mlflow = free_port(), free_port()
        command = [*self.lan.ssh, "-N", "-o", "ExitOnForwardFailure=yes",
                   "-L", f"127.0.0.1:{dashboard}:127.0.0.1:8265",
                   "-L", f"127.0.0.1:{mlflow}:127.0.0.1:5000", self.head.address]  # fmt: skip
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait(lambda: answers(dashboard) and answers(mlflow), 90, "the tunnel")
            yield Tunnel(f"http://127.0.0.1:{dashboard}", f"http://127.0.0.1:{mlflow}")
        finally:
            process.kill()
            process.wait()


ASK = """
printf 'Authorization: Bearer %s' "$(cat ~/.gatelab/ray_token)" |
  curl -sf --max-time 20 -H @- 'http://127.0.0.1:8266{path}'
"""
MISSED_SOON = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}
"""Ray misses a host that does not answer after 12 s, instead of 65, and so do the tests."""
OPTIONS = "--num-cpus=1 --object-store-memory=200000000"
"""Of `ray start` on each host: three share this machine."""


@contextmanager
def cluster(
    folder: Path, *, hosts: int = 3, settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Have hosts on a network with an object store; :meth:`Cluster.up` makes them a cluster.

    Raises:
        NoHosts: If this machine cannot make hosts.
    """
    with ExitStack() as stack:
        network = stack.enter_context(lan(folder))
        for _ in range(hosts):
            network.add()
        store = ObjectStore(network)
        stack.callback(store.stop)
        paths = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        yield Cluster(network, store, {**paths, **(settings or {})})


def credentials(running: Cluster, service: str) -> tuple[str, str]:
    """Return the header of who may ask a service."""
    basic = base64.b64encode(f"gatelab:{running.password}".encode()).decode()
    mine = {"dashboard": f"Bearer {running.token}", "mlflow": f"Basic {basic}"}
    return "Authorization", mine[service]
