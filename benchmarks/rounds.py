"""What the barriers of a synchronous search cost: how busy the slots are that run its jobs.

The search is real, its jobs are not: a job takes as long as its epochs, times a factor of its
configuration, between a half and two (wide networks train longer). Counted in that time: the share
of the slots' time in which a job runs, from the start to the last evaluation.
"""

from __future__ import annotations

import heapq
from pathlib import Path
from tempfile import TemporaryDirectory

from optuna.distributions import FloatDistribution

from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step

MAX_EPOCHS = 20
SEEDS = 5
SPACE = SearchSpace(
    {}, {"gate.cost": FloatDistribution(0.5, 2.0, log=True), "gate.loss": FloatDistribution(0, 1)}
)
CASES = [
    (1, 2, 12, 2),
    (3, 2, 12, 2),
    (1, 16, 12, 2),
    (3, 16, 12, 2),
    (3, 16, 48, 4),
    (3, 1000, 1000, 2),
    (3, 1000, 1000, 1),
]
"""Gates, slots, trials a gate, rounds."""


def main() -> None:
    """Print a line a case."""
    print("| gates | slots | trials a gate | rounds | slots busy |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for gates, slots, trials, rounds in CASES:
        busy = simulate(gates, slots, trials, rounds)
        print(f"| {gates} | {slots:,} | {trials:,} | {rounds} | {busy:.0%} |", flush=True)


def simulate(gates: int, slots: int, trials: int, rounds: int) -> float:
    """Return in which share of the slots' time a job runs."""
    with TemporaryDirectory() as folder:
        sweep = _sweep(Path(folder), gates, trials, rounds)
        now = work = 0.0
        running: list[tuple[float, int, Job]] = []
        handed, reached = 0, {}
        while not sweep.finished:
            while len(running) < slots and (jobs := sweep.next_jobs()):
                (job,) = jobs
                epochs = (job.until or MAX_EPOCHS) - reached.get(job.key, 0)
                seconds = epochs * job.members[0].configuration.gate["cost"]
                handed, work = handed + 1, work + seconds
                heapq.heappush(running, (now + seconds, handed, job))
            now, _, job = heapq.heappop(running)
            reached[job.key] = job.until or MAX_EPOCHS
            sweep.progress(job, _result(job))
    return work / (slots * now)


def _sweep(folder: Path, gates: int, trials: int, rounds: int) -> Sweep:
    labels = [f"gate{number}" for number in range(gates)]
    cut = Rounds(trials // rounds, (5, 10), 2)
    studies = open_studies(
        folder / "studies.journal",
        dict.fromkeys(labels, SPACE),
        dict.fromkeys(labels, cut),
        sampler="random",
        seed=0,
    )
    return Sweep(Plan(trials, 1, SEEDS, 0), dict.fromkeys(labels, "softmax"), studies)


def _result(job: Job) -> Step:
    loss = job.members[0].configuration.gate["loss"]
    ending = Ending("finished", "reached max_epochs", MAX_EPOCHS, loss)
    over = job.until is None
    return Step(job.until or MAX_EPOCHS, loss, False, [], [ending] * job.told if over else None)


if __name__ == "__main__":
    main()
