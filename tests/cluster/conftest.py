"""The cluster that these tests share, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cluster import Cluster, Tunnel, cluster
from cluster.lan import NoHosts, check_machine
from cluster.leaks import check_disks
from cluster.sweeping import Account, Sweeping
from cluster.watched import Watched, watched_commands

NO_HOSTS = "no test hosts: "
ORDER = ("bring_up", "secrets", "security", "faults", "recovery", "autoscaling", "taken_down")
"""Who looks at the dashboard comes before Ray is started again; what takes all down comes last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules in this order."""
    here = Path(__file__).parent
    places = [place for place, item in enumerate(items) if item.path.parent == here]
    ours = sorted((items[place] for place in places), key=_turn)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _turn(item: pytest.Item) -> int:
    return ORDER.index(item.path.stem.removeprefix("test_"))


@pytest.fixture(scope="package")
def machine() -> None:
    """Skip where hosts cannot be made; the end of the output says so too."""
    try:
        check_machine()
    except NoHosts as error:
        pytest.skip(f"{NO_HOSTS}{error}")


@pytest.fixture(scope="package")
def site(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three hosts and an object store, brought up once for all tests.

    In the end no secret lies where it should not, whatever has happened there.
    """
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
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
def calm(site: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A sweep that nothing disturbs, launched from afar and followed to its end."""
    site.mend()
    sweep = Sweeping(site, tmp_path_factory.mktemp("user"), "undisturbed")
    with watched_commands() as commands:
        said = sweep.launch("--follow")
    return Watched(frozenset(commands), said, sweep.account())


@pytest.fixture(scope="package")
def undisturbed(calm: Watched) -> Account:
    """Return what such a sweep leaves in MLflow."""
    return calm.account


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    reasons = {text.partition(NO_HOSTS)[2].strip("')") for text in skipped if NO_HOSTS in text}
    for reason in reasons:
        terminalreporter.section("THE CLUSTER WAS NOT TESTED", red=True, bold=True)
        terminalreporter.line(reason, red=True)
