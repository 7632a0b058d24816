"""Sweeps that are disturbed: in the end MLflow holds what it does of one that was not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cluster.cluster import Cluster
from cluster.faults import FAULTS, Fault, small_spool
from cluster.hosts import wait
from cluster.sweeping import SEEDS, TRIALS, Account, Sweeping

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def undisturbed(site: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Account:
    site.mend()
    sweep = Sweeping(site, tmp_path_factory.mktemp("undisturbed"), "undisturbed")
    sweep.launch()
    sweep.finish()
    return sweep.account()


def test_an_undisturbed_sweep_is_whole(undisturbed: Account) -> None:
    """What the others are compared with: every trial, and every epoch's metrics, once."""
    ends = Counter(end for _, _, end, _ in undisturbed.runs)
    assert ends == {"finished": 2 * (TRIALS + SEEDS) + 3}, "with the gates' and the sweep's own"
    assert set(undisturbed.runs.values()) == set(undisturbed.rows.values()) == {1}
    trials = [name for name in undisturbed.params if "/search/" in name]
    epochs = Counter(name for name, key, _ in undisturbed.rows if key == "val/loss")
    assert len(trials) == 2 * TRIALS and {epochs[name] for name in trials} == {9}
    rates = {undisturbed.params[name]["optimizer.learning_rate"] for name in trials}
    assert len(rates) > TRIALS / 2, "the trials differ"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost(
    fault: Fault, running: Cluster, undisturbed: Account, tmp_path: Path
) -> None:
    small_spool(running.head)
    sweep = Sweeping(running, tmp_path, fault.__name__.replace("_", "-"))
    sweep.launch()
    sweep.wait_for(4)
    assert sweep.ended() < 2 * TRIALS, "it is hit in the middle"
    try:
        fault(sweep)
        sweep.finish()
        wait(lambda: not sweep.left_behind(), 60, f"an end of {sweep.left_behind()}")
        assert not sweep.account().differences(undisturbed)
    finally:
        for host in running.hosts[3:]:
            running.remove(host)
