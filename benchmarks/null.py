"""The whole pipeline as a null: how often one gate under three names beats itself.

``python -m benchmarks.null [SWEEPS] [REPEATS]``. Every name is searched with draws and seeds of its
own, on a small task that is another in each sweep; what the searches select is evaluated, compared
and put into words by the code that a user's sweep runs. Only Ray and MLflow are missing. A winner
is called wrongly where the verdict says that a name wins.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from scipy.stats import binomtest

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.answer import answer
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.rounds import rounds_of
from gatelab.sweeps.spec.searches import Search, mixed
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Metrics, Tags
from gatelab.training.jobs import Job
from gatelab.training.work import Work

NAMES = ("first", "second", "third")
SWEEPS, REPEATS, PROCESSES = 200, 4, 2
SPEC = {
    "name": "null",
    "gates": {"gate": {"gate": "softmax"}},
    "baselines": False,
    "model": {"num_experts": 3, "expert_width": 8, "tower_width": 8},
    "optimizer": {"learning_rate": {"low": 3e-3, "high": 1e-1, "log": True}},
    "training": {"max_epochs": 6, "batch_size": 128},
    "search": {"trials": 4},
    "evaluation": {"seeds": 3},
}
TASK = {"num_targets": 2, "num_groups": 2, "experts_per_group": 1, "in_features": 4}
ROWS = {"train_rows": 256, "val_rows": 128, "test_rows": 512}


def main(sweeps: int = SWEEPS, repeats: int = REPEATS) -> None:
    """Print how often a winner is called, with one search and with several."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        found = list(pool.map(null_sweep, range(sweeps), [repeats] * sweeps))
    print("| searches of each name | sweeps | a winner is called | any pair differs |")
    print("| ---: | ---: | ---: | ---: |")
    for searches, outcomes in zip((1, repeats), zip(*found, strict=True), strict=True):
        winners, pairs = (_share(wrong) for wrong in zip(*outcomes, strict=True))
        print(f"| {searches} | {sweeps} | {winners} | {pairs} |", flush=True)


def _share(wrong: tuple[bool, ...]) -> str:
    """Return a share with its 95% interval (Clopper and Pearson)."""
    bounds = binomtest(sum(wrong), len(wrong)).proportion_ci()
    return f"{sum(wrong) / len(wrong):.1%} ({bounds.low:.1%} to {bounds.high:.1%})"


def null_sweep(number: int, repeats: int) -> list[tuple[bool, bool]]:
    """Return of a sweep, with one search and with all, whether a winner is called, or any pair."""
    torch.set_num_threads(1)
    spec = parse_spec(
        {**SPEC, "task": {"name": "synthetic_groups", **TASK, **ROWS, "seed": number}}
    )
    task = make_task(spec)
    runs = [
        run for place, name in enumerate(NAMES) for run in _runs(spec, task, name, place, repeats)
    ]
    first = [run for run in runs if run.tags[Tags.REPEAT] == "0"]
    return [_outcome(compare_runs(_record(part))) for part in (first, runs)]


def _outcome(comparison: Comparison) -> tuple[bool, bool]:
    wins = any(" wins: " in line for line in answer(comparison, Metrics.TEST_LOSS))
    tests = [test for test in comparison.tests if test.metric == Metrics.TEST_LOSS]
    assert len(tests) == math.comb(len(NAMES), 2)
    return wins, any(test.significant for test in tests)


def _record(runs: list[RunRecord]) -> SweepRecord:
    tags = {Tags.STAGE: "sweep", Tags.GATES: ",".join(NAMES), Tags.END: "finished"}
    return SweepRecord("null", (RunRecord("s", "s", "FINISHED", {}, {}, tags), *runs))


def _runs(spec: Spec, task: Task, name: str, place: int, repeats: int) -> Iterator[RunRecord]:
    """Yield the evaluation's runs of a name, whose seeds are numbered so that the names' pair."""
    seed = mixed(spec.task.options["seed"], place)
    spaces = {"gate": space(spec, "gate", task)}
    cut, searches = (
        rounds_of(spec, spaces)["gate"],
        [Search("gate", r).name for r in range(repeats)],
    )
    plan = Plan(spec.search.trials, 1, spec.evaluation.seeds, seed, repeats=repeats)
    with TemporaryDirectory() as folder:
        studies = open_studies(
            Path(folder) / "studies",
            dict.fromkeys(searches, spaces["gate"]),
            dict.fromkeys(searches, cut),
            sampler=spec.search.sampler,
            seed=seed,
        )
        for job, losses in _evaluated(Sweep(plan, {"gate": "softmax"}, studies), spec, task):
            for index, loss in enumerate(losses):
                tags = {
                    Tags.STAGE: "evaluate",
                    Tags.GATE: name,
                    Tags.END: "finished",
                    Tags.SEED: str(job.number + index),
                    Tags.REPEAT: str(Search.of(job.of_search).repeat),
                }
                yield RunRecord("e", "e", "FINISHED", {}, {Metrics.TEST_LOSS: loss}, tags)


def _evaluated(sweep: Sweep, spec: Spec, task: Task) -> Iterator[tuple[Job, list[float]]]:
    """Run a sweep; yield its evaluations with the test losses."""
    recipe = spec.training.recipe()
    waiting: dict[str, Work] = {}
    while jobs := sweep.next_jobs():
        (job,) = jobs
        work = waiting.pop(job.key, None) or Work(task, jobs, recipe)
        work.until = job.until
        (step,) = work.step()
        while not sweep.progress(job, step):
            (step,) = work.step()
        if step.endings is None:
            waiting[job.key] = work
        elif job.stage == "evaluate":
            yield job, [ending.metrics[Metrics.TEST_LOSS] for ending in step.endings]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
