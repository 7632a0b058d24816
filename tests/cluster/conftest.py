"""The cluster that these tests share, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.cluster import Cluster, Tunnel, cluster
from cluster.lan import NoHosts, check_machine

REASON = pytest.StashKey[str]()


@pytest.fixture(scope="package")
def machine(request: pytest.FixtureRequest) -> None:
    """Skip where hosts cannot be made; the end of the output says so too."""
    try:
        check_machine()
    except NoHosts as error:
        request.config.stash[REASON] = str(error)
        pytest.skip(f"no test hosts: {error}")


@pytest.fixture(scope="package")
def site(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three hosts and an object store, brought up once for all tests."""
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.up()
        yield made


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


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say loudly what was not tested."""
    if reason := config.stash.get(REASON, None):
        terminalreporter.section("THE CLUSTER WAS NOT TESTED", red=True, bold=True)
        terminalreporter.line(reason, red=True)
