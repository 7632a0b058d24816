"""Networks of hosts, and on each the user's own machine: where the test itself is."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.hosts import NETWORK, PATH, Host, run

NUMBERS = itertools.count(1)
"""Of the networks of this process."""
NEEDED = {"ip": "iproute2", "ss": "iproute2", "sshd": "openssh-server", "ssh": "openssh-client"}
"""Commands of the hosts, and Debian's packages that have them."""
CLONE_NEWNET = 0x40000000


class NoHosts(Exception):
    """Hosts cannot be made on this machine."""


def check_machine() -> None:
    """Find out whether this machine can make hosts.

    Raises:
        NoHosts: If a program is missing or namespaces are not permitted.
    """
    missing = sorted({NEEDED[name] for name in NEEDED if shutil.which(name, path=PATH) is None})
    if missing:
        raise NoHosts(f"missing: apt-get install {' '.join(missing)}")
    command = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "true"]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode or os.getuid():
        raise NoHosts(f"no namespaces here: {tried.stderr.strip() or 'not root'}")


class Lan:
    """A network of hosts, and on it the user's own machine: the namespace of the test itself."""

    def __init__(self, folder: Path) -> None:
        """Lay the network.

        Args:
            folder: For the hosts' disks; it must not lie in a home of a user.
        """
        check_machine()
        _clear_away()
        self.folder, self.hosts = folder, list[Host]()
        self.namespace = f"gatelab{os.getpid()}-{next(NUMBERS)}"
        self.address = f"{NETWORK}.1"
        folder.mkdir(parents=True, exist_ok=True)
        run("ip", "netns", "add", self.namespace)
        for words in ("link set lo up", "link add switch type bridge", "link set switch up"):
            run("ip", "-n", self.namespace, *words.split())
        run("ip", "-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "switch")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
        (folder / "ssh_config").write_text(
            f"Host {NETWORK}.*\n  User root\n  IdentityFile {folder}/key\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking yes\n"
            "  BatchMode yes\n  ConnectTimeout 5\n  LogLevel ERROR\n"
        )

    @property
    def ssh(self) -> list[str]:
        """The command that reaches hosts, as the user would set it up."""
        return ["ssh", "-F", str(self.folder / "ssh_config")]

    def add(self) -> Host:
        """Return one more host, switched on."""
        host = Host(self, len(self.hosts) + 1)
        self.hosts.append(host)
        host.start()
        return host

    def close(self) -> None:
        """Remove every host and the network, whatever state they are in."""
        for host in self.hosts:
            host.remove()
        subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True)


@contextmanager
def lan(folder: Path) -> Iterator[Lan]:
    """Lay a network, and put this thread, and what it starts, on the user's machine there.

    Raises:
        NoHosts: If this machine cannot make hosts.
    """
    network = Lan(folder)
    try:
        with _inside(network.namespace):
            yield network
    finally:
        network.close()


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Have this thread's sockets in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{namespace}") as there:
        assert not libc.setns(there.fileno(), CLONE_NEWNET), os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


def _clear_away() -> None:
    """Remove networks whose test was killed; their hosts died with it."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = re.match(r"gatelab(\d+)", name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)  # or another has
