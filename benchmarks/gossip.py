"""Gossip measured beside what theory predicts, and what a step of it costs.

``python -m benchmarks gossip [REPETITIONS]`` prints three tables of the scalar linear study, each
mean over so many repetitions with twice its standard error, and two ratios. The agents are members'
copies of one number, which the learner mixes; their samples are the chains of its row orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.clock import medians, report
from gatelab.gates import SoftmaxGate
from gatelab.tasks import SyntheticGroups
from gatelab.training.chains import chained
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.learners import Shared
from gatelab.training.learners.gossip import Gossip
from gatelab.training.learners.graphs import mixing_matrix
from gatelab.training.member import Member, Recipe
from gatelab.training.members import Members
from gatelab.training.train import Training

REPETITIONS, STEPS, PASS = 400, 20_000, 1000
RATE, DELAY = 2.0, 20
"""Of the step alpha_k = RATE / (k + DELAY)."""
COPIES, EXPERTS, BATCH_ROWS = 8, 8, 256
Alpha = Callable[[int], float]


def main(repetitions: int = REPETITIONS) -> None:
    """Print the tables, and the cost."""
    torch.set_num_threads(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        falling_steps(repetitions)
        constant_steps(repetitions)
    finally:
        torch.set_default_dtype(before)
    cost()


class OneNumber(nn.Module):
    """A model of one number, which its copies share."""

    def __init__(self) -> None:
        """Begin at 0."""
        super().__init__()
        self.bottom = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.bottom.weight)


@dataclass(frozen=True)
class Agents:
    """So many agents on a graph: F_i(x, theta) = a_i (theta - b_i - x).

    a_i lies evenly over [0.5, 1.5] and b_i over [-1, 1]; x is -1 or 1, and x of the next step has
    the correlation with it.
    """

    count: int
    graph: str
    correlation: float

    @property
    def slopes(self) -> Tensor:
        """Of all agents, ``(count,)``."""
        return torch.linspace(0.5, 1.5, self.count)

    @property
    def offsets(self) -> Tensor:
        """Of all agents, ``(count,)``."""
        return torch.linspace(-1, 1, self.count)

    @property
    def root(self) -> float:
        """Where the mean of all F_i is 0 on average."""
        return float((self.slopes * self.offsets).sum() / self.slopes.sum())

    @property
    def noise(self) -> float:
        """Long-run variance of the mean of all F_i at the root."""
        price = (1 + self.correlation) / (1 - self.correlation)
        return float(self.slopes.square().mean()) / self.count * price

    @property
    def spread(self) -> float:
        """What the consensus error over alpha squared comes to.

        Along an eigenvector u of W with eigenvalue s < 1 agents drift apart by (u'F / (1 - s))^2,
        F at the root, and their samples add u'diag(a^2)u (1 + s r) / ((1 - s^2)(1 - s r)), which is
        the variance of a sum with weights s^n of a chain of correlation r.
        """
        values, vectors = torch.linalg.eigh(mixing_matrix(self.graph, self.count))
        s, u, r = values[:-1], vectors[:, :-1], self.correlation
        drift = (u.mT @ (self.slopes * (self.root - self.offsets)) / (1 - s)).square()
        size = u.square().mT @ self.slopes.square()
        return float((drift + size * (1 + s * r) / ((1 - s * s) * (1 - s * r))).sum())

    def samples(self, repetitions: int, steps: int) -> Iterator[Tensor]:
        """Yield x of all agents, ``(repetitions * count,)``, one step after another."""
        chains = repetitions * self.count
        seeds = torch.arange(chains) + 7919 * self.count
        stays = torch.full((chains,), self.correlation)
        for epoch in range(-(-steps // PASS)):
            places = chained(seeds, epoch, PASS, stays)
            yield from (2.0 * (places % 2) - 1).mT.contiguous()


def course(agents: Agents, alpha: Alpha, repetitions: int, steps: int) -> Iterator[Members]:
    """Yield the agents of all repetitions after each step: row by row those of one."""
    members = Members([OneNumber()])
    members.keep([0] * (repetitions * agents.count))
    shared = Shared(members, agents.count)
    learner = Gossip([Gossip.completed({"graph": agents.graph})] * repetitions, shared)
    slopes, offsets = (it.repeat(repetitions) for it in (agents.slopes, agents.offsets))
    samples = agents.samples(repetitions, steps)
    for k, sample in zip(range(steps), samples, strict=False):
        gradient = slopes * (members.flat.detach()[:, 0] - offsets - sample)
        learner.before_step(members)
        with torch.no_grad():
            members.flat[:, 0] -= alpha(k) * gradient
        yield members


def measured(agents: Agents, members: Members) -> tuple[Tensor, Tensor]:
    """Return of each repetition the mean's squared error, and the agents' consensus error."""
    (part,) = Shared(members, agents.count).parts(members.flat.detach())
    errors = (part.mean(1)[:, 0] - agents.root).square()
    return errors, Shared(members, agents.count).spread(members)


def told(values: Tensor, scale: float) -> str:
    """Return a mean with twice its standard error."""
    error = 2 * float(values.std()) / len(values) ** 0.5
    return f"{float(values.mean()) * scale:.3g} ± {error * scale:.2g}"


def falling_steps(repetitions: int) -> None:
    """Print k times the mean's squared error, and the consensus error over alpha squared."""
    looks = (200, 2000, STEPS)
    print("Step 2 / (k + 20).\n")
    columns = [f"k = {k:,}" for k in looks]
    print(f"| agents | correlation | k MSE at {' | '.join(columns)} | predicted |", end="")
    print(f" consensus / alpha² at {' | '.join(columns)} | predicted |")
    print(f"| --- | ---: |{' ---: |' * (2 * len(looks) + 2)}")
    for agents in (
        *(Agents(4, "complete", correlation) for correlation in (0.0, 0.5, 0.8, 0.95)),
        *(Agents(16, "complete", 0.0), Agents(16, "ring", 0.0)),
        *(Agents(4, "ring", 0.0), Agents(16, "ring", 0.8)),
    ):
        errors, apart = [], []
        for k, members in enumerate(course(agents, _falling, repetitions, STEPS), 1):
            if k in looks:
                error, spread = measured(agents, members)
                errors.append(told(error, k))
                apart.append(told(spread, 1 / _falling(k - 1) ** 2))
        predicted = RATE**2 * agents.noise / (2 * RATE * float(agents.slopes.mean()) - 1)
        found = [*errors, f"{predicted:.3g}", *apart, f"{agents.spread:.4g}"]
        named = f"{agents.count}, {agents.graph}"
        print(f"| {named} | {agents.correlation:g} | {' | '.join(found)} |", flush=True)


def _falling(k: int) -> float:
    return RATE / (k + DELAY)


def constant_steps(repetitions: int) -> None:
    """Print the mean's squared error over alpha, of steps that stay the same."""
    print("\nA constant step, 8 agents on a ring.\n")
    print("| correlation | alpha | MSE / alpha | predicted | consensus / alpha² | predicted |")
    print(f"|{' ---: |' * 6}")
    for correlation in (0.0, 0.8):
        agents = Agents(8, "ring", correlation)
        for alpha in (0.02, 0.01, 0.005):
            error, spread = _settled(agents, alpha, repetitions)
            found = (told(error, 1 / alpha), f"{agents.noise / 2:.3g}")
            more = (told(spread, 1 / alpha**2), f"{agents.spread:.3g}")
            said = " | ".join((*found, *more))
            print(f"| {correlation:g} | {alpha:g} | {said} |", flush=True)


def _settled(agents: Agents, alpha: float, repetitions: int) -> tuple[Tensor, Tensor]:
    """Return both errors of each repetition, means over looks long after the start."""
    start, apart, looks = round(8 / alpha), round(2 / alpha), 5
    steps, found = start + apart * looks, []
    for k, members in enumerate(course(agents, lambda _: alpha, repetitions, steps), 1):
        if k > start and k % apart == 0:
            found.append(measured(agents, members))
    errors, spreads = (torch.stack(list(each)).mean(0) for each in zip(*found, strict=True))
    return errors, spreads


def cost() -> None:
    """Print the time of a pass of gossip against that of as many joint members."""
    print()
    task = SyntheticGroups(num_targets=COPIES, train_rows=2048, val_rows=256)
    for graph in ("complete", "ring"):
        rivals = {
            "gossip": _training(task, 2, {LEARNER: "gossip", f"{LEARNER}.graph": graph}),
            "joint": _training(task, 2 * COPIES, {}),
        }
        runs = {name: partial(training.loop.run, 0) for name, training in rivals.items()}
        times = medians(runs, rounds=9, calls=1)
        figures = {rival: f"{1000 * seconds:.0f} ms" for rival, seconds in times.items()}
        what = f"gossip: a pass of 2 x {COPIES} copies, {graph}, against joint members"
        report(what, times["gossip"] / times["joint"], "<= 1.2", **figures)


def _training(task: SyntheticGroups, members: int, learner: dict[str, str]) -> Training:
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    chosen = Configuration.of({}, {"num_experts": EXPERTS}, optimizer).values
    each = [Member(Configuration({**chosen, **learner}), seed) for seed in range(members)]
    return Training(task, SoftmaxGate, each, Recipe(BATCH_ROWS, 100))
