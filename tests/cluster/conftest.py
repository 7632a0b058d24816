"""The clusters that these tests share, one a process of pytest, or why there is none."""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from cluster.cluster import Cluster, Tunnel, cluster
from cluster.lan import NoHosts, check_machine
from cluster.leaks import check_disks
from cluster.sweeping import BRISK, Account, Sweeping
from cluster.watched import Watched, watched_commands

NO_HOSTS = "no test hosts: "
ORDER = ("secrets", "bring_up", "faults", "recovery", "autoscaling", "security", "taken_down")
"""What takes long begins early; what would have to be brought up again comes last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules in this order, which is also that in which processes are given them."""
    here = Path(__file__).parent
    places = [place for place, item in enumerate(items) if item.path.parent == here]
    ours = sorted((items[place] for place in places), key=_turn)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _turn(item: pytest.Item) -> int:
    return ORDER.index(item.path.stem.removeprefix("test_"))


class Parts(LoadScopeScheduling):
    """Gives a process a whole module at once, or one sweep that is disturbed."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if module.endswith("test_faults.py") else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Have the tests dealt out so."""
    return Parts(config, log)


@pytest.fixture(scope="package")
def machine() -> None:
    """Skip where hosts cannot be made; the end of the output says so too."""
    try:
        check_machine()
    except NoHosts as error:
        pytest.skip(f"{NO_HOSTS}{error}")


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all processes of this run of pytest have in common."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@contextmanager
def one_at_a_time(shared: Path, what: str) -> Iterator[None]:
    """Keep the other processes from doing something meanwhile."""
    with (shared / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="package")
def site(
    machine: None, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Three hosts and an object store, brought up once for all tests of a process.

    In the end no secret lies where it should not, whatever has happened there.
    """
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        with one_at_a_time(shared, "up"):
            made.up()
        yield made
        check_disks(made)


@pytest.fixture
def running(site: Cluster) -> Cluster:
    """Return the cluster, mended if the test before left something broken."""
    site.mend()
    return site


@pytest.fixture(scope="module")
def tunnel(site: Cluster) -> Iterator[Tunnel]:
    """Hold a way to the head's loopback."""
    site.mend()
    with site.tunnel() as made:
        yield made


@pytest.fixture(scope="package")
def calm(site: Cluster, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A sweep that nothing disturbs, launched from afar and followed to its end."""
    site.mend()
    sweep = Sweeping(site, tmp_path_factory.mktemp("user"), "undisturbed", pace=BRISK)
    with one_at_a_time(shared, "undisturbed"):
        with watched_commands() as commands:
            said = sweep.launch("--follow")
        account = sweep.account()
        (shared / "undisturbed").write_bytes(pickle.dumps(account))
    return Watched(frozenset(commands), said)


@pytest.fixture(scope="package")
def undisturbed(shared: Path, request: pytest.FixtureRequest) -> Account:
    """Return what such a sweep leaves in MLflow; on whichever cluster, it is the same."""
    if not (shared / "undisturbed.lock").exists():
        request.getfixturevalue("calm")
    with one_at_a_time(shared, "undisturbed"):
        account: Account = pickle.loads((shared / "undisturbed").read_bytes())
    return account


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    reasons = {text.partition(NO_HOSTS)[2].strip("')") for text in skipped if NO_HOSTS in text}
    for reason in reasons:
        terminalreporter.section("THE CLUSTER WAS NOT TESTED", red=True, bold=True)
        terminalreporter.line(reason, red=True)
