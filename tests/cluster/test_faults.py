"""Sweeps that are disturbed: in the end MLflow holds what it does of one that was not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cluster.cluster import ROLES, Cluster
from cluster.faults import GROUPS, Fault, small_spool
from cluster.hosts import Host, wait
from cluster.sweeping import SEEDS, TRIALS, Account, Sweeping

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def names(group: tuple[Fault, ...]) -> str:
    return "-".join(fault.__name__ for fault in group)


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


@pytest.mark.parametrize("group", GROUPS, ids=names)
def test_nothing_is_lost(
    group: tuple[Fault, ...], running: Cluster, undisturbed: Account, tmp_path: Path
) -> None:
    small_spool(running.head)
    sweep = Sweeping(running, tmp_path, names(group).replace("_", "-"))
    sweep.launch()
    sweep.wait_for(4)
    try:
        for fault in group:
            sweep.wait_for(sweep.ended() + 1)
            assert sweep.ended() < 2 * TRIALS, "it is hit in the middle"
            with sweep.slowly():
                fault(sweep)
        sweep.finish()
        wait(lambda: not sweep.left_behind(), 180, f"an end of {sweep.left_behind()}", every=0.5)
        assert not sweep.account().differences(undisturbed)
        running.wait_for_nodes(len(running.hosts))  # what was killed or cut off is back
    finally:
        for host in running.hosts[3:]:
            remove(running, host)


def remove(running: Cluster, host: Host) -> None:
    """Have a host leave again, which the others do not mind."""
    running.remove(host)
    running.wait_for_nodes(3)
    assert host.address not in running.file.read_text()
    assert all(host.find(ROLES["raylet"]) for host in running.hosts)
