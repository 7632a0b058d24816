"""A host on this machine: with its own address, disk, processes, name and SSH server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.lan import Lan

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NETWORK = "10.77.0"
"""Of every lan: it lies in a namespace of its own, so that many can have the same."""
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def run(*command: str | Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert not result.returncode, f"{command}: {result.stderr}"
    return result.stdout


@dataclass(frozen=True)
class Process:
    """A process of a host."""

    pid: int
    """As this machine numbers it."""
    command: str
    """Its command line, or what it calls itself."""


@dataclass
class Host:
    """One host: off until it is started."""

    lan: Lan
    number: int
    init: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Plug it in, and furnish its disk."""
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        lan = self.lan.namespace
        run("ip", "-n", lan, "link", "add", self.name, "type", "veth",
             "peer", "name", "eth0", "address", self.card, "netns", self.namespace)  # fmt: skip
        run("ip", "-n", lan, "link", "set", self.name, "master", "switch", "up")
        run("ip", "-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        run("ip", "-n", self.namespace, "route", "add", "default", "via", self.lan.address)
        for folder in ("home/.ssh", "etc", "tmp", "bin"):
            (self.disk / folder).mkdir(parents=True)
        (self.disk / "tmp").chmod(0o1777)
        shutil.copy(HERE / "crontab.sh", self.disk / "bin" / "crontab")
        self._write_etc()

    @property
    def name(self) -> str:
        """What `hostname` says there."""
        return f"host{self.number}"

    @property
    def namespace(self) -> str:
        return f"{self.lan.namespace}-{self.number}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{10 + self.number}"

    @property
    def card(self) -> str:
        """Its network card's address: a host that has the number again is found as fast."""
        return f"02:00:00:00:00:{self.number:02}"

    @property
    def disk(self) -> Path:
        """Its folder: home, etc, tmp; what lies there stays when it is off."""
        return self.lan.folder / self.name

    @property
    def home(self) -> Path:
        """Where root is at home there, as this machine sees it."""
        return self.disk / "home"

    def _write_etc(self) -> None:
        etc = self.disk / "etc"
        users = Path("/etc/passwd").read_text()
        (etc / "passwd").write_text(re.sub(r"(?m)^(root:.*):/root:", r"\1:/home/gl:", users))
        names = [f"{NETWORK}.{10 + n} host{n}" for n in range(1, 10)]
        (etc / "hosts").write_text("127.0.0.1 localhost\n" + "\n".join(names) + "\n")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc / "host_key")
        key = (etc / "host_key.pub").read_text()
        with (self.lan.folder / "known_hosts").open("a") as known:
            print(self.address, key.strip(), file=known)
        shutil.copy(self.lan.folder / "key.pub", self.home / ".ssh" / "authorized_keys")
        (etc / "sshd_config").write_text(
            f"ListenAddress {self.address}\nHostKey /run/sshd/host_key\nPidFile none\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\n"
            "SetEnv PATH=/run/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\n"
        )

    @property
    def running(self) -> bool:
        return self.init is not None and self.init.poll() is None

    def start(self) -> None:
        """Switch it on; returns when its SSH server listens."""
        assert not self.running
        visible = [ROOT, Path(sys.prefix), Path(sys.base_prefix)]
        command = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace,
                   "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child",
                   "bash", HERE / "boot.sh", self.disk, self.name, *visible]  # fmt: skip
        with (self.disk / "console").open("ab") as console:
            self.init = subprocess.Popen(
                [*map(str, command)],
                env={"PATH": PATH, "HOME": "/home/gl"},  # nothing of this process's
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        wait(lambda: any(port == 22 for _, port, _ in self.listening()), 90, f"sshd of {self.name}")

    def stop(self) -> None:
        """Switch it off, as a loss of power does: nothing there gets to clean up."""
        if self.init is not None:
            self.init.kill()
            self.init.wait()
            wait(lambda: not self.pids(), 90, f"the end of {self.name}")
        self.init = None

    def cut(self) -> None:
        """Pull its network cable."""
        run("ip", "-n", self.lan.namespace, "link", "set", self.name, "down")

    def restore(self) -> None:
        """Plug the cable in again."""
        run("ip", "-n", self.lan.namespace, "link", "set", self.name, "up")

    def pids(self) -> list[int]:
        """Return the processes of the host, as this machine numbers them, init included."""
        return [int(pid) for pid in run("ip", "netns", "pids", self.namespace).split()]

    def processes(self) -> list[Process]:
        """Return what runs there beyond the machine itself: boot, cron and SSH."""
        found = []
        for pid in self.pids():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            except FileNotFoundError:
                continue  # it has just ended
            text = command.decode(errors="replace").strip()
            if text and not re.search(r"boot\.sh|^sshd|^/usr/sbin/sshd|^sleep 1$|^unshare", text):
                found.append(Process(pid, text))
        return found

    def find(self, pattern: str) -> list[Process]:
        """Return the processes there whose command line has a match of a regular expression."""
        return [process for process in self.processes() if re.search(pattern, process.command)]

    def kill(self, pattern: str, sign: int = signal.SIGKILL) -> list[Process]:
        """Send a signal to the processes that :meth:`find` finds, of which there must be one."""
        found = self.find(pattern)
        assert found, f"no process of {self.name} matches {pattern!r}: {self.processes()}"
        for process in found:
            os.kill(process.pid, sign)
        return found

    def listening(self) -> list[tuple[str, int, str]]:
        """Return (address, port, program) of every TCP socket that listens there."""
        lines = run("ip", "netns", "exec", self.namespace, "ss", "-Hltnp").splitlines()
        found = []
        for line in lines:
            address, _, port = line.split()[3].rpartition(":")
            program = re.search(r'users:\(\("([^"]*)"', line)
            found.append((address, int(port), program[1] if program else "?"))
        return found

    def ssh(
        self, command: str, *, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command there over SSH, as the user's machine does."""
        result = subprocess.run(
            [*self.lan.ssh, self.address, command], input=stdin, capture_output=True, text=True
        )
        assert not check or not result.returncode, f"{self.name}: {command}: {result.stderr}"
        return result

    def remove(self) -> None:
        """Switch it off for good, with its disk."""
        self.stop()
        subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True)
        shutil.rmtree(self.disk, ignore_errors=True)


def wait(done: Callable[[], object], seconds: float, what: str, every: float = 0.1) -> None:
    """Wait until something is so; asked ``every`` so many seconds, more where asking costs more.

    Raises:
        TimeoutError: If it is not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)
