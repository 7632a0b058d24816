"""What privacy costs: the test loss of mean-regularised targets against epsilon.

``python -m benchmarks privacy`` prints a line for each way to learn, with the mean over a few seeds
and their standard deviation. All learn for equally long, from one start a seed. Targets are linear
and alike, of as few rows as weights, so that a target gains much by hearing of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean, stdev
from typing import Any

import torch
from torch import nn

from gatelab.gates import SoftmaxGate
from gatelab.tasks import Network, Split, Target, Task
from gatelab.tasks.task import SplitName
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.evaluation import Evaluation
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

TARGETS = (32, 96)
SEEDS = range(3)
NOISES = (0.5, 1.0, 2.0, 4.0)
PULL, CLIP, LOCAL_STEPS = 1.0, 0.3, 6
FEATURES, ROWS, EPOCHS = 20, 20, 60
OWN, NOISE = 0.3, 0.5
"""How far a target's weights are from the common ones, of length 1, and the noise of its values."""
STEP = {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}
Options = dict[str, Any]


class LinearTargets(Task):
    """Targets that are linear in the features, by weights that are alike but not the same."""

    def __init__(self, number: int, seed: int = 0) -> None:
        """Draw the weights, ``(features, targets)``."""
        draw = torch.Generator().manual_seed(seed)
        common = torch.randn(FEATURES, 1, generator=draw)
        own = torch.randn(FEATURES, number, generator=draw) / FEATURES**0.5
        self.weights = common / common.norm() + OWN * own
        self.targets = tuple(Target(f"t{place:03}", "regression") for place in range(number))
        self.seed = seed

    def split(self, name: SplitName) -> Split:
        """Draw rows of standard normal features."""
        place = ("train", "val", "test").index(name)
        draw = torch.Generator().manual_seed(1 + 3 * self.seed + place)
        inputs = torch.randn(
            {"train": ROWS, "val": 40, "test": 400}[name], FEATURES, generator=draw
        )
        exact = inputs @ self.weights
        return Split(inputs, exact + NOISE * torch.randn(exact.shape, generator=draw))

    def network(self) -> Network:
        """Return one linear map, and nothing else that learns."""
        expert = partial(nn.Linear, FEATURES, 1, bias=False)
        return Network(nn.Identity, nn.Identity, FEATURES, expert, lambda _: nn.Identity())


def main(*targets: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| targets | learner | epsilon, RDP | epsilon, PLD | test loss |")
    print("| ---: | --- | ---: | ---: | ---: |")
    rounds = {"pull": PULL, "clip": CLIP, "local_steps": LOCAL_STEPS}
    for number in targets or TARGETS:
        task = LinearTargets(number)
        table(task, {"apart": {"pull": 0.0}, "the mean at every step": {"pull": PULL}})
        levels = {f"rounds, z = {noise:g}": {**rounds, "noise": noise} for noise in NOISES}
        table(task, {"rounds, clipped alone": rounds, **levels})


def table(task: LinearTargets, ways: dict[str, Options]) -> None:
    """Print the lines of ways to learn, whose members train together."""
    found = iter(trained(task, list(ways.values())))
    for name in ways:
        own = [next(found) for _ in SEEDS]
        spent = [own[0].learner.get(f"epsilon_{bound}") for bound in ("rdp", "pld")]
        told = ["" if epsilon is None else f"{epsilon:.3g}" for epsilon in spent]
        losses = [each.loss / len(task.targets) for each in own]
        loss = f"{mean(losses):.3f} ± {stdev(losses):.3f}"
        print(f"| {' | '.join((str(len(task.targets)), name, *told, loss))} |", flush=True)


def trained(task: LinearTargets, ways: Sequence[Options]) -> list[Evaluation]:
    """Return what members of each way and seed give for the test split at their best epoch."""
    values = Configuration.of({}, {"num_experts": 1}, STEP).values
    members = [
        Member(
            Configuration(
                {
                    **values,
                    LEARNER: "mean_regularized",
                    **{f"{LEARNER}.{name}": value for name, value in options.items()},
                }
            ),
            seed,
        )
        for options in ways
        for seed in SEEDS
    ]
    training = Training(task, SoftmaxGate, members, Recipe(ROWS, EPOCHS))
    while not training.done:
        training.run_epoch()
    return training.evaluate_best("test")
