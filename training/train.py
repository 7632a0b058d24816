"""Training: members of one structure in one loop, each to its own end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from gatelab.gates.gate import Gate
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import Rank
from gatelab.training.group import Group
from gatelab.training.learners import LEARNER_MODULE
from gatelab.training.member import Course, Member, Recipe, settled_epoch
from gatelab.training.members import Tensors
from gatelab.training.memory import keep_freed_memory
from gatelab.training.placed_splits import PlacedSplits
from gatelab.training.raising import raising

T = TypeVar("T")
Judge = Callable[[Mapping[int, Evaluation]], Mapping[int, Rank]]
"""Ranks the passes over the val split of an epoch's members, by their index."""


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
        self.recipe, self.device = recipe, torch.device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self._splits = PlacedSplits(task, self.device)
        self.group = Group(task, gate, members, recipe, self._splits)
        """Of the members that still train."""
        self.model, self.members = self.group.model, self.group.members
        self.copies, self.loop = self.group.copies, self.group.loop
        self.courses = [Course() for _ in members]
        self.settled = [
            settled_epoch(gate, m.configuration.gate, recipe.max_epochs) for m in members
        ]
        self.active = list(range(len(members)))
        self.best = [self.copies.state(self.members, position) for position in self.active]
        self.notes = self.group.rehearse(scored)
        """What could not be fused, or is not as it was asked for, a line each."""

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
        losses = self._surviving(
            partial(self.loop.run, self.epoch), self.loop.repeat_alone, "train/loss"
        )
        trained = {} if losses is None else dict(zip(self.active, self._note(losses), strict=True))
        val = self.split("val")
        evaluations = self._surviving(
            lambda: self.group.evaluator.going(
                self.members, val, self.active, self._steps(self.active, more=1)
            ),
            lambda row: self.group.evaluator.alone(self.members, row, val, self.active),
            "val/loss",
        )
        active = list(self.active)
        found = dict(zip(active, evaluations or (), strict=True))
        ranks = judge(found) if found else {}
        for position, member in enumerate(active):
            self._follow(position, trained[member], found[member], ranks[member])
        self._drop_ended()
        return {member: (trained[member], evaluation) for member, evaluation in found.items()}

    def _surviving(
        self, make: Callable[[], T], alone: Callable[[int], object], what: str
    ) -> T | None:
        """Return what a pass of the active members gives, without those of which it raises.

        Args:
            make: Makes the pass; if it has raised it is gone on with.
            alone: Makes it for one row of them.
            what: What is no number after it where a parameter is none.

        Returns:
            Nothing if all have failed.

        Raises:
            Exception: Whatever the pass raises, if it does so of every member that is sound.
        """
        while self.active:
            try:
                return make()
            except (MemoryError, torch.OutOfMemoryError):  # is of all of them
                raise
            except Exception:  # whatever a stranger's module raises
                failed = raising(self.members, alone, what)
                if not failed:
                    raise
                # A member fails with the first of its copies that does.
                count = self.copies.count
                self._fail({row // count: failed[row] for row in sorted(failed, reverse=True)})
        return None

    def _fail(self, reasons: Mapping[int, str]) -> None:
        """Train active members at some positions no further, and the others from where they are."""
        for position, reason in reasons.items():
            course = self.courses[self.active[position]]
            course.end, course.reason = "failed", f"{reason} in epoch {self.epoch + 1}"
        going = [position for position in range(len(self.active)) if position not in reasons]
        self.active = [self.active[position] for position in going]
        if going:
            self.group.keep(going)
            self.loop.leave(self.copies.rows(going), self.epoch)

    def _note(self, losses: Tensor) -> list[float]:
        """Return a pass's mean losses, and keep what they are unweighted and what the loop says."""
        losses = self.copies.added(losses)
        self.notes += self.loop.notes
        self.loop.notes.clear()
        if self.loop.factors is None:
            return losses.tolist()
        weighted, unweighted = losses.mT.tolist()
        for member, loss in zip(self.active, unweighted, strict=True):
            self.courses[member].unweighted = loss
        return list(weighted)

    def _follow(self, position: int, train_loss: float, evaluation: Evaluation, rank: Rank) -> None:
        """Note a member's epoch, and keep its weights where they are its best."""
        member = self.active[position]
        if self.courses[member].better(rank):
            self.best[member] = self.copies.state(self.members, position)
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
        self.group.keep(positions)
        self.group.begin(self.active)

    def _steps(self, members: Sequence[int], more: int = 0) -> list[int]:
        """Return how many steps members have taken, and those of so many epochs more."""
        a_pass = self.loop.passage.steps
        return [a_pass * (self.courses[member].epochs + more) for member in members]

    def evaluate_best(
        self, name: SplitName, members: Sequence[int] | None = None
    ) -> list[Evaluation]:
        """Pass members, by default all, over a split with their best weights."""
        chosen = range(len(self.courses)) if members is None else members
        best = self.copies.of(self.members, [self.best[member] for member in chosen])
        return self.group.evaluator.ended(best, self.split(name), chosen, self._steps(chosen))

    def served(self, member: int) -> Tensors:
        """Return the tensors of what is scored of a member: those that it is to be used with."""
        best = self.copies.of(self.members, [self.best[member]])
        found = self.copies.state(self.group.evaluator.scored(best, [member]), 0)
        return {name: it for name, it in found.items() if not name.startswith(f"{LEARNER_MODULE}.")}

    def split(self, name: SplitName) -> Split:
        """Return a split on the device, made when it is first asked for."""
        return self._splits.get(name)

    def state(self, member: int) -> dict[str, Any]:
        """Return a member's state, from which it goes on exactly: tensors and plain values."""
        found: dict[str, Any] = {"course": asdict(self.courses[member]), "best": self.best[member]}
        if member in self.active:
            found |= self.group.state(self.active.index(member))
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
            self.group.load(position, states[member])
