"""Training: M models of one structure in one loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.gates.gate import Gate
from gatelab.gates.randomness import Randomness, generator_state
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.training.configuration import Configuration
from gatelab.training.evaluation import Evaluation, evaluate, parts_of, pass_over
from gatelab.training.goal import Rank
from gatelab.training.member import (
    Course,
    Member,
    Recipe,
    build_model,
    check_structure,
    settled_epoch,
)
from gatelab.training.members import Members, Tensors
from gatelab.training.memory import keep_freed_memory
from gatelab.training.model import Output
from gatelab.training.optimizer import MemberOptimizer
from gatelab.training.passage import Passage
from gatelab.training.precision import NO_TF32, precise
from gatelab.training.rehearsal import REASON, ROWS, Once, rehearse
from gatelab.training.replay import Replay
from gatelab.training.schedule import Schedule
from gatelab.training.weighting import loss_factors

Judge = Callable[[Mapping[int, Evaluation]], Mapping[int, Rank]]
"""Ranks the passes over the val split of an epoch's members, by their index."""

UNKEYED = (
    "some random numbers are of a function that draws from no key: they follow from the seeds of "
    "all that train together"
)


def by_loss(evaluations: Mapping[int, Evaluation]) -> dict[int, Rank]:
    """Rank by the validation loss alone."""
    return {member: Rank(False, found.loss) for member, found in evaluations.items()}


class Training:
    """Trains members of one structure together, each as if it were alone.

    A member's course does not depend on the others beside it, its random numbers included. Members
    that stop early leave the loop.
    """

    def __init__(
        self,
        task: Task,
        gate: type[Gate],
        members: Sequence[Member],
        recipe: Recipe,
        device: torch.device | str = "cpu",
        scored: Sequence[SplitName] = ("val",),
    ) -> None:
        """Make the models, each from its own seed.

        Args:
            task: What they learn.
            gate: Of all of them.
            members: Their hyperparameters and seeds.
            recipe: How long they train.
            device: Where.
            scored: The splits of which a part is rehearsed.

        Raises:
            ValueError: If a hyperparameter is out of its range, or members differ in structure.
        """
        self.task, self.recipe = task, recipe
        self.device = torch.device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.seeds = [member.seed for member in members]
        check_structure(members)
        models = [build_model(task, gate, member) for member in members]
        self.model = models[0]
        self.members = Members(models, self.device)
        self._splits: dict[SplitName, Split] = {}
        self.optimizer = self._optimizer([member.configuration for member in members])
        self.courses = [Course() for _ in members]
        self.settled = [
            settled_epoch(gate, m.configuration.gate, recipe.max_epochs) for m in members
        ]
        self.best = [self.members.state(position) for position in range(len(members))]
        self.active = list(range(len(members)))
        self.draws = True
        """Whether a pass draws at random; a rehearsal finds out."""
        self._begin_loop()
        self._drawn: set[str] = set()
        self.records = self.device.type == "cuda" and not self.members.tables[0]
        """Whether steps are recorded as a CUDA graph; to be unset where they cannot be."""
        self.notes = rehearse(
            self.members,
            dict(self._rehearsals(scored)),
            [
                partial(self._rehearse_learning, ROWS),
                partial(self._rehearse_scoring, self.split("train").inputs[:ROWS]),
            ],
        )
        """What could not be fused, or is not as it was asked for, a line each."""
        self.draws = "keyed" in self._drawn
        if "unkeyed" in self._drawn:
            self.notes.append(UNKEYED)
        if recipe.precision == "tf32" and self.device.type != "cuda":
            self.notes.append(NO_TF32)

    def _optimizer(self, configurations: Sequence[Configuration]) -> MemberOptimizer:
        a_pass = -(-len(self.split("train").inputs) // self.recipe.batch_size)
        steps = a_pass * self.recipe.max_epochs
        settings = [configuration.training for configuration in configurations]
        return MemberOptimizer(
            self.members,
            [configuration.optimizer for configuration in configurations],
            [
                Schedule(s.get("schedule", "constant"), s.get("warmup", 0.0), steps)
                for s in settings
            ],
            [setting.get("gradient_clip") for setting in settings],
        )

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return max(course.epochs for course in self.courses)

    @property
    def done(self) -> bool:
        """Whether every member has ended."""
        return not self.active

    def run_epoch(self, judge: Judge = by_loss) -> dict[int, tuple[float, Evaluation]]:
        """Train the active members for one epoch, and keep the weights that are a member's best.

        Args:
            judge: Says which are.

        Returns:
            By member its mean training loss, without aux losses, and its pass over the val split.
        """
        active = list(self.active)
        train_losses = self._note(self._train())
        evaluations = evaluate(self.members, self.model, self.split("val"))
        ranks = judge(dict(zip(active, evaluations, strict=True)))
        for position, member in enumerate(active):
            self._follow(position, train_losses[position], evaluations[position], ranks[member])
        self._drop_ended()
        pairs = zip(train_losses, evaluations, strict=True)
        return dict(zip(active, pairs, strict=True))

    def _note(self, losses: Tensor) -> list[float]:
        """Return the mean losses of :meth:`_train`, and keep what they are unweighted."""
        if self._factors is None:
            return losses.tolist()
        weighted, unweighted = losses.mT.tolist()
        for member, loss in zip(self.active, unweighted, strict=True):
            self.courses[member].unweighted = loss
        return list(weighted)

    def _begin_loop(self) -> None:
        """Make what the steps of the active members read and write, and stays where it is."""
        rows, recipe = len(self.split("train").inputs), self.recipe
        seeds = [self.seeds[member] for member in self.active]
        self.passage = Passage(seeds, rows, recipe.batch_size, recipe.max_epochs, self.device)
        shape = (len(seeds),) if self._factors is None else (len(seeds), 2)
        self._total = torch.zeros(shape, device=self.device)
        self._replays: dict[int, Replay] = {}

    def _train(self) -> Tensor:
        """Make one pass over the train split; return the mean losses.

        They are ``(active,)``, or where rows are weighted ``(active, 2)``: weighted and unweighted.
        """
        self.model.train()
        rows, size = self.passage.rows_in_all, self.passage.size
        self.begin_pass()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            # What does not draw from keys follows from the seeds and the epoch.
            torch.manual_seed(_mix(*(self.seeds[member] for member in self.active), self.epoch))
            with self._precise():
                for start in range(0, rows, size):
                    self.step(min(size, rows - start))
        return self.train_losses() / rows

    def train_losses(self) -> Tensor:
        """Return the losses of the pass's rows so far, added up."""
        return self._total

    def begin_pass(self) -> None:
        """Put on the device what the steps of a pass need."""
        self.passage.begin(self.epoch)
        self.optimizer.ready(self.passage.steps)
        self._total.zero_()

    def _precise(self) -> AbstractContextManager[None]:
        return precise(self.recipe.precision, self.device, self.model, self.model.mixture.gates)

    def step(self, rows: int) -> None:
        """Take one optimiser step on the pass's next rows, so many for each member."""
        if rows not in self._replays:
            self._replays[rows] = Replay(partial(self.eager_step, rows), records=self.records)
        replay = self._replays[rows]
        replay()
        self.optimizer.steps += 1
        if replay.failure is not None and self.records:
            self.records = False
            reason = " ".join(str(replay.failure).split())[:REASON]
            self.notes.append(f"a step cannot be recorded as a CUDA graph ({reason}): it is eager")

    def eager_step(self, rows: int) -> None:
        """Do on the device what :meth:`step` does there."""
        losses, buffers = self._learn(self.split("train"), self.passage.rows(rows))
        self.optimizer.move()
        for name, buffer in buffers.items():
            self.members.buffers[name].copy_(buffer)
        self._total += losses * rows
        self.passage.advance()

    def _learn(self, split: Split, rows: Tensor) -> tuple[Tensor, Tensors]:
        """Leave the gradients of ``(active, batch)`` rows; return task losses and next buffers."""
        mask = None if split.mask is None else split.mask[rows]
        factors = None if self._factors is None else self._factors[rows]
        keys = self.passage.keys() if self.draws else None
        progress = self.passage.progress() if self.model.mixture.updates else None
        losses: Tensor
        buffers: Tensors
        objectives, losses, buffers = self.members.call(
            self._losses,
            (split.inputs[rows], split.targets[rows], mask, factors, keys),
            (progress,),
        )
        objectives.sum().backward()
        return losses, buffers

    def _rehearsals(self, scored: Sequence[SplitName]) -> Iterator[tuple[str, Once]]:
        """Yield a pass for every size of a batch that there is, and the name of such a batch."""
        rows, size = len(self.split("train").inputs), self.recipe.batch_size
        whole, last = min(rows, size), rows % size
        yield f"a batch of {whole} train rows", partial(self._rehearse_learning, whole)
        if last and last < whole:
            where = f"the last batch of an epoch, of {last} train rows"
            yield where, partial(self._rehearse_learning, last)
        for name in scored:
            part = parts_of(self.split(name).inputs, len(self.members))[-1]
            yield f"a batch of {len(part)} {name} rows", partial(self._rehearse_scoring, part)

    def _rehearse_learning(self, count: int) -> list[Tensor]:
        """Return losses, next buffers and gradients of a step on so many rows, not taken."""
        self.model.train()
        split, flat = self.split("train"), self.members.flat
        rows = torch.arange(min(count, len(split.inputs)), device=self.device)
        flat.grad, before = None, generator_state(self.device)
        losses, buffers = self._learn(split, rows.expand(len(self.members), -1))
        if not torch.equal(generator_state(self.device), before):
            self._drawn.add("unkeyed")
        gradients: list[Tensor] = [] if flat.grad is None else [flat.grad]
        return [losses, *buffers.values(), *gradients]

    def _rehearse_scoring(self, inputs: Tensor) -> list[Tensor]:
        """Return outputs, weights and diagnostics of rows."""
        groups, weights, diagnostics = pass_over(self.members, self.model, inputs)
        return [*groups, weights, *diagnostics.values()]

    def _losses(
        self,
        tensors: Tensors,
        inputs: Tensor,
        targets: Tensor,
        mask: Tensor | None,
        factors: Tensor | None,
        key: Tensor | None,
        progress: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensors]:
        """Return what a member minimises, the task's part of it, and its gates' next buffers."""
        with nullcontext() if key is None else Randomness(key) as draws:
            output: Output = functional_call(self.model, tensors, (inputs, progress, mask))
        if draws is not None and draws.drew:
            self._drawn.add("keyed")
        rows = self.model.row_losses(output.groups, targets)
        unweighted = loss = self.model.task_loss(self.model.target_losses(rows, mask))
        if factors is not None:
            loss = self.model.task_loss(self.model.target_losses(rows * factors.mT, mask))
        found = loss if factors is None else torch.stack([loss, unweighted])
        return loss + output.routing.aux_loss.sum(), found.detach(), output.buffers

    def _follow(self, position: int, train_loss: float, evaluation: Evaluation, rank: Rank) -> None:
        """Note a member's epoch, and keep its weights where they are its best."""
        member = self.active[position]
        if self.courses[member].better(evaluation, rank):
            self.best[member] = self.members.state(position)
        reason = self.courses[member].why_failed(train_loss, evaluation, rank)
        if reason and not torch.isfinite(evaluation.weights).all():
            gate = type(self.model.mixture.gates.each).__name__
            reason += f"; weights must be finite, but those of {gate} are not"
        self.courses[member].end_if_due(reason, self.recipe, self.settled[member])

    def _drop_ended(self) -> None:
        self.drop([member for member in self.active if self.courses[member].end is not None])

    def drop(self, members: Collection[int]) -> None:
        """Train these members no further."""
        going = [i for i, member in enumerate(self.active) if member not in members]
        before, self.active = self.active, [self.active[position] for position in going]
        if 0 < len(going) < len(before):
            self._keep(going)

    def _keep(self, positions: Sequence[int]) -> None:
        self.members.keep(positions)
        self.optimizer.keep(positions)
        self._begin_loop()

    def evaluate_best(
        self, name: SplitName, members: Sequence[int] | None = None
    ) -> list[Evaluation]:
        """Pass members, by default all, over a split with their best weights."""
        chosen = range(len(self.courses)) if members is None else members
        best = self.members.of([self.best[member] for member in chosen])
        return evaluate(best, self.model, self.split(name))

    def split(self, name: SplitName) -> Split:
        """Return a split on the device, made when it is first asked for."""
        if name not in self._splits:
            inputs, targets, mask, weights = self.task.data(name)
            if mask is not None:
                # NaN marks what is unknown in many data sets: it is no class, and its gradient
                # would stay NaN when multiplied by 0.
                targets = torch.where(mask, targets, torch.zeros_like(targets))
                mask = mask.to(self.device)
            weights = None if weights is None else weights.to(self.device)
            placed = Split(inputs.to(self.device), targets.to(self.device), mask, weights)
            self._splits[name] = placed
        return self._splits[name]

    @cached_property
    def _factors(self) -> Tensor | None:
        """By what the train rows' losses are multiplied, ``(rows, targets)``, if by anything."""
        factors = loss_factors(self.task.targets, self.split("train"))
        return None if factors is None else factors.to(torch.get_default_dtype())

    def state(self, member: int) -> dict[str, Any]:
        """Return a member's state, from which it goes on exactly: tensors and plain values."""
        found: dict[str, Any] = {"course": asdict(self.courses[member]), "best": self.best[member]}
        if member in self.active:
            position = self.active.index(member)
            found["tensors"] = self.members.state(position)
            found["optimizer"] = self.optimizer.state(position)
        return found

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on from what :meth:`state` returned of each member, whoever trained beside it.

        Raises:
            ValueError: If this training has begun or has another number of members, or those that
                still train have not trained for equally long.
        """
        courses = [Course(**state["course"]) for state in states]
        active = [member for member, state in enumerate(states) if "tensors" in state]
        epochs = {courses[member].epochs for member in active}
        if self.epoch or len(states) != len(self.courses) or len(epochs) > 1:
            raise ValueError(
                "States are loaded into a fresh training of as many members, all at one epoch, "
                f"but got (epoch={self.epoch}, members={len(self.courses)}, {len(states)=}, "
                f"epochs={sorted(epochs)})."
            )
        self.courses, self.best = courses, [state["best"] for state in states]
        self.active = active
        if not active:
            return
        self._keep(active)
        for position, member in enumerate(active):
            self.members.load(position, states[member]["tensors"])
            self.optimizer.load(position, states[member]["optimizer"])


def _mix(*numbers: int) -> int:
    """Return one seed that follows from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
