"""Few shots: what is lost on targets that were never trained, after inner steps on a few rows.

A part of ``python -m benchmarks anil``. Of eight targets in two groups the last two are held out,
whose teachers the experts may know of the others of their group.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any, cast

from gatelab.gates.gate import gates
from gatelab.tasks import SyntheticGroups
from gatelab.tasks.task import SplitName
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.learners.anil import Anil
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

TASK = SyntheticGroups(num_targets=8, num_groups=2, train_rows=1024, val_rows=512, test_rows=1024)
GATES = {"softmax": {}, "top_k": {"k": 2}, "dselect_k": {"k": 2}}
SEEDS, RATES = range(3), (0.03, 0.1, 0.3)
STEP = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
LEARNT: dict[str, dict[str, Any]] = {
    "joint": {"inner_steps": 0, "start": "own"},
    "N = 0, common": {"inner_steps": 0, "start": "common"},
    "N = 1, common": {"inner_steps": 1, "start": "common"},
    "N = 5, common": {"inner_steps": 5, "start": "common"},
    "N = 5, common, first order": {"inner_steps": 5, "start": "common", "first_order": True},
}
"""How models were trained, by what the table calls it."""
SCORED = ((0, 32), (1, 32), (5, 32), (20, 8), (20, 32), (20, 128))
"""After how many inner steps on how many rows they are scored."""


def few_shots() -> None:
    """Print the mean test loss of the held-out targets, a mean over seeds."""
    columns = [f"{steps}, {shots}" for steps, shots in SCORED]
    print(f"\n| gate | trained | scored after N, shots: {' | '.join(columns)} |")
    print(f"| --- | --- |{' ---: |' * len(SCORED)}")
    for gate, hyperparameters in GATES.items():
        for what, options in LEARNT.items():
            training = _trained(gate, hyperparameters, options)
            cells = (_told(training, steps, shots) for steps, shots in SCORED)
            print(f"| {gate} | {what} | {' | '.join(cells)} |", flush=True)


def _trained(gate: str, hyperparameters: Mapping[str, Any], options: Mapping[str, Any]) -> Training:
    values = Configuration.of(hyperparameters, {"num_experts": 8}, STEP).values
    members = []
    for rate in RATES:
        own = Anil.completed({**options, "inner_rate": rate, "held_out": 2})
        chosen = {LEARNER: "anil", **{f"{LEARNER}.{name}": value for name, value in own.items()}}
        members += [Member(Configuration({**values, **chosen}), seed) for seed in SEEDS]
    training = Training(TASK, gates.get(gate), members, Recipe(64, 30, 8))
    while not training.done:
        training.run_epoch()
    return training


def _told(training: Training, steps: int, shots: int) -> str:
    """Return mean and deviation over seeds, of the rate that is best on val."""
    learner = cast(Anil, training.group.learner)
    learner.inner_steps, learner.shots = steps, shots
    val, test = (_by_rate(training, name) for name in ("val", "test"))
    best = min(range(len(RATES)), key=lambda place: mean(val[place]))
    return f"{mean(test[best]):.2f} ± {stdev(test[best]):.2f}"


def _by_rate(training: Training, name: SplitName) -> list[list[float]]:
    found = [each.learner["held_out_loss"] for each in training.evaluate_best(name)]
    return [found[start : start + len(SEEDS)] for start in range(0, len(found), len(SEEDS))]
