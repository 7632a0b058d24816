"""Random mixtures of faults for a given time: `make chaos MINUTES=30 SEED=1`."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.cluster import Cluster, cluster
from cluster.faults import FAULTS, add_a_node, small_spool
from cluster.hosts import wait
from cluster.lan import NoHosts
from cluster.sweeping import ALONE, TOGETHER, Account, Sweeping

HOSTS, MOST_HOSTS = 3, 4
TRIALS = 40
"""Of each of the two gates."""
PACE = 0.1
"""Seconds of a gate's call, so that a trial takes three."""
PAUSES = (1.0, 10.0)
"""Seconds between two faults, from and to."""


@dataclass
class Tally:
    """What happened so far."""

    sweeps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    """Of all sweeps' budgets."""
    trials_lost: int = 0
    """That MLflow does not hold exactly once, with an end and a reason."""
    trials_failed: int = 0
    """That ended with the reason that their worker was lost too often."""
    rows: int = 0
    """Of metrics, in all sweeps undisturbed."""
    rows_lost: int = 0
    rows_twice: int = 0
    left_behind: int = 0
    """Processes and shares of CPUs after a sweep's end."""
    unfinished: int = 0
    """Sweeps that did not come to a good end."""

    def add(self, account: Account, undisturbed: Account) -> None:
        """Take in a sweep that has ended."""
        mine = Counter(name for (name, *_), n in account.runs.items() for _ in range(n))
        trials = [name for (name, *_) in undisturbed.runs if "/search/" in name]
        ended = {name for name, _, end, reason in account.runs if end and reason}
        failed = {name for name, _, end, _ in account.runs if end == "failed"}
        self.sweeps += 1
        self.trials += len(trials)
        self.trials_lost += sum(mine[name] != 1 or name not in ended for name in trials)
        self.trials_failed += len(failed)
        self.rows += undisturbed.rows.total()
        whole = Counter({row: n for row, n in undisturbed.rows.items() if row[0] not in failed})
        self.rows_lost += (whole - account.rows).total()
        self.rows_twice += sum(count - 1 for count in account.rows.values())

    @property
    def bad(self) -> int:
        """Return how much of it should not be."""
        return self.trials_lost + self.rows_lost + self.rows_twice + self.left_behind

    def __str__(self) -> str:
        """Return it as lines."""
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"faults survived: {self.faults.total()} ({faults})\n"
            f"sweeps: {self.sweeps}, without a good end {self.unfinished}\n"
            f"trials: {self.trials}, lost {self.trials_lost}, failed {self.trials_failed}\n"
            f"metrics: {self.rows}, lost {self.rows_lost}, twice {self.rows_twice}\n"
            f"left behind: {self.left_behind}"
        )


def disturb(sweep: Sweeping, dice: random.Random, tally: Tally) -> None:
    """Have one thing after another go wrong until the search is nearly over."""
    while sweep.ended() < 2 * TRIALS - 6:
        fault = dice.choice(FAULTS)
        if fault is add_a_node and len(sweep.cluster.hosts) == MOST_HOSTS:
            continue
        print(f"  {time.strftime('%T')} {sweep.ended():2} ended: {fault.__name__}", flush=True)
        try:
            fault(sweep)
        except (AssertionError, TimeoutError) as error:  # the sweep's end shows what came of it
            print(f"  {str(error).splitlines()[0]}", flush=True)
        tally.faults[fault.__name__] += 1
        time.sleep(dice.uniform(*PAUSES))


def one_sweep(
    made: Cluster, folder: Path, number: int, dice: random.Random, tally: Tally, calm: Sweeping
) -> None:
    """Launch a sweep like one that went undisturbed, disturb it, and see what came of it."""
    small_spool(made.head)
    sweep = Sweeping(made, folder / str(number), f"chaos-{number}", TRIALS, PACE, calm.jobs)
    print(sweep.name, dict(sweep.jobs), flush=True)
    sweep.launch()
    sweep.wait_for(1)
    disturb(sweep, dice, tally)
    try:
        sweep.finish()
    except AssertionError as error:
        tally.unfinished += 1
        print(error, flush=True)
    with suppress(TimeoutError):
        wait(lambda: not sweep.left_behind(), 180, "nothing left behind")
    left, account, undisturbed = sweep.left_behind(), sweep.account(), calm.account()
    tally.left_behind += len(left)
    tally.add(account, undisturbed)
    for line in left + account.failed + account.differences(undisturbed):
        print(f"  {line}", flush=True)
    for host in made.hosts[HOSTS:]:
        made.remove(host)
    made.mend()


def main(minutes: float, seed: int) -> int:
    """Print what was survived and what was lost; return 1 if anything was."""
    dice, tally = random.Random(seed), Tally()
    random.seed(seed)  # from which the faults take their hosts
    with TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder) / "lan") as made:
        made.up()
        calm = [
            Sweeping(made, Path(folder) / name, name, TRIALS, PACE, jobs)
            for name, jobs in (("together", TOGETHER), ("alone", ALONE))
        ]
        for sweep in calm:
            sweep.launch()
            sweep.finish()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            number = tally.sweeps + 1
            one_sweep(made, Path(folder), number, dice, tally, calm[number % 2])
            print(tally, flush=True)
    return int(bool(tally.bad or tally.unfinished))


if __name__ == "__main__":
    try:
        sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
    except NoHosts as error:
        sys.exit(f"no test hosts: {error}")
