"""A group: models of one structure, with what trains and scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gatelab.gates.gate import Gate
from gatelab.gates.randomness import drawing_from
from gatelab.tasks.task import SplitName, Task
from gatelab.training.copies import Copies, joined, parted
from gatelab.training.evaluator import Evaluator
from gatelab.training.learners import DEFAULT, Learner, Shared, learners
from gatelab.training.lessons import LessonPlan
from gatelab.training.loop import Loop
from gatelab.training.member import Member, Recipe, build_model, check_structure
from gatelab.training.members import Members
from gatelab.training.model import Model
from gatelab.training.optimizer import optimizer_of
from gatelab.training.passage import seed_key
from gatelab.training.placed_splits import PlacedSplits
from gatelab.training.precision import NO_TF32
from gatelab.training.rehearsal import ROWS, rehearse
from gatelab.training.rehearsed import passes_of, small_passes
from gatelab.training.second_order import second_order_notes
from gatelab.training.train_rows import TrainRows
from gatelab.training.weighting import weights_of_members


class Group:
    """Members that train, by their positions among them: a member that leaves moves the others up.

    A member has a row of ``members`` for each of its learner's copies of the model.
    """

    def __init__(
        self,
        task: Task,
        gate: type[Gate],
        members: Sequence[Member],
        recipe: Recipe,
        splits: PlacedSplits,
    ) -> None:
        """Make the models, each from its own seed.

        Args:
            task: What they learn.
            gate: Of all of them.
            members: Their hyperparameters and seeds.
            recipe: How long they train.
            splits: Of the task, on the device where they train.

        Raises:
            ValueError: If a hyperparameter is out of its range, members differ in structure, or
                their learner cannot train them.
        """
        self._splits, self._recipe = splits, recipe
        cls = learners.get(members[0].configuration.learner or DEFAULT)
        models = _models(task, gate, members, cls)
        updates = any(model.mixture.updates for model in models)  # before a device is waited for
        self.model, self.members = models[0], Members(models, splits.device)
        self.model.mixture.counts_union = any(model.mixture.costs_union for model in models)
        self.copies = Copies(cls.copies(len(task.targets)))
        """Of each member, one row of ``members`` each; one that learns alone is its only row."""
        options = [cls.completed(member.configuration.learner_options) for member in members]
        self.learner = self._begin_learner(cls, options, members)
        train = TrainRows(self.model, splits.get("train"))
        _check_rows(cls, options, len(train))
        configurations = [member.configuration for member in members]
        steps = -(-len(train) // recipe.batch_size) * recipe.max_epochs
        self.optimizer = optimizer_of(self.members, self.copies.each(configurations), steps=steps)
        weights = weights_of_members(task.targets, [it.target_weights for it in configurations])
        weights = None if weights is None else weights.to(splits.device)
        self.evaluator = Evaluator(self.model, self.copies, self.learner, options, train, weights)
        seeds, orders = [it.seed for it in members], [cls.order(option) for option in options]
        self.lessons = LessonPlan(seeds, orders, weights, self.copies, splits.device)
        lessons = self.lessons.of(range(len(members)))
        parts = (self.model, self.members, self.optimizer, train, recipe)
        self.loop = Loop(*parts, lessons, self.learner, updates)

    def _begin_learner(
        self, cls: type[Learner], options: Sequence[Mapping[str, Any]], members: Sequence[Member]
    ) -> Learner:
        """Give each member its copies, and make their learner of its options for each."""
        if self.copies.count > 1:
            self.members.keep(self.copies.each(range(len(members))))
        keys = [seed_key(member.seed) for member in members]
        learner = cls(options, Shared(self.members, self.copies.count, keys))
        learner.begin(self.members)
        return learner

    def rehearse(self, scored: Sequence[SplitName]) -> list[str]:
        """Find out what can be fused, what draws and what decays; return what is not as usual.

        Args:
            scored: The splits of which a part is rehearsed.
        """
        passes = passes_of(self.loop, self._splits, scored)
        if type(self.learner).scored is not Learner.scored:
            every = range(len(self.members) // self.copies.count)
            passes["the train rows from which what is scored learns"] = lambda: [
                self.evaluator.scored(self.members, every).flat
            ]
        one = self.members if len(self.members) == 1 else self.members.of_one(0)
        small = (small_passes(self.loop, members) for members in (one, self.members))
        notes = rehearse(self.members, passes, *small)
        notes += self.loop.end_rehearsal()
        if self.learner.second_order:
            notes += second_order_notes(self.loop, ROWS)
        if self.optimizer.decays:
            self.optimizer.spare(self.loop.unreached(ROWS).union(self.learner.unmoved))
        if self._recipe.precision == "tf32" and self._splits.device.type != "cuda":
            notes.append(NO_TF32)
        return notes

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with the members at these positions."""
        rows = self.copies.rows(positions)
        self.members.keep(rows)
        self.optimizer.keep(rows)
        self.learner.keep(torch.tensor(positions, device=self._splits.device))

    def begin(self, which: Sequence[int]) -> None:
        """Begin an epoch anew, of members with these indices among those that were made."""
        self.loop.begin(self.lessons.of(which))

    def state(self, position: int) -> dict[str, Any]:
        """Return all from which a member goes on exactly: tensors by name."""
        rows = self.copies.rows([position])
        found: dict[str, Any] = {"tensors": self.copies.state(self.members, position)}
        found["optimizer"] = joined([self.optimizer.state(row) for row in rows])
        if self.learner.remembered:
            found["learner"] = self.learner.state(position)
        return found

    def load(self, position: int, state: Mapping[str, Any]) -> None:
        """Put what :meth:`state` returned into a member."""
        self.copies.load(self.members, position, state["tensors"])
        own = parted(state["optimizer"])
        for row, past in zip(self.copies.rows([position]), own, strict=True):
            self.optimizer.load(row, past)
        if self.learner.remembered:
            self.learner.load(position, state["learner"])


def _models(
    task: Task, gate: type[Gate], members: Sequence[Member], learner: type[Learner]
) -> list[Model]:
    """Make members' models, with what their learner keeps in them."""
    check_structure(members)
    models = [build_model(task, gate, member) for member in members]
    _check_learner(learner, task, models[0], members)
    for model in models:
        learner.furnish(model)
    return models


def _check_learner(
    learner: type[Learner], task: Task, model: Model, members: Sequence[Member]
) -> None:
    """Check that a learner can do with the gates' hyperparameters and the parts of a model."""
    for member in members:
        for name, why in learner.gate_faults(member.configuration.gate).items():
            raise ValueError(f"{name}: {why}")
    options = members[0].configuration.model
    with drawing_from(members[0].seed):
        network = task.network(**{n: value for n, value in options.items() if n != "num_experts"})
        why = learner.misfit(network, task.targets, model.mixture.each)
    if why:
        raise ValueError(why)


def _check_rows(learner: type[Learner], options: Sequence[Mapping[str, Any]], rows: int) -> None:
    """Check that a train split has the rows that each member's options need."""
    for own in options:
        for name, why in learner.row_faults(own, rows).items():
            raise ValueError(f"{name}: {why}")
