"""The loop: passes over the train split, in steps of all members that still train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakMethod

import numpy as np
import torch
from torch import Tensor

from gatelab.gates.randomness import drawing_from, generator_state
from gatelab.rules import as_line
from gatelab.training.call_replay import CallReplay
from gatelab.training.graph_replay import GraphReplay
from gatelab.training.learners import Learner
from gatelab.training.lessons import Lessons
from gatelab.training.member import Recipe
from gatelab.training.members import Members, Tensors
from gatelab.training.model import Model
from gatelab.training.optimizer import MemberOptimizer
from gatelab.training.passage import Passage
from gatelab.training.precision import precise, tensor_cores
from gatelab.training.rehearsal import REASON
from gatelab.training.replay import Replay
from gatelab.training.train_rows import Given, TrainRows

UNKEYED = (
    "some random numbers are of a function that draws from no key: they follow from the seeds of "
    "all that train together"
)
REPLAYS: dict[str, type[Replay]] = {"cpu": CallReplay, "cuda": GraphReplay}
"""By the kind of device, on others of which a step is taken as it is."""
LOOKS = 3
"""Passes in which a parameter is looked for that no gradient reaches."""


class Loop:
    """Takes the steps of members, the same operations each time, which are then repeated."""

    def __init__(
        self,
        model: Model,
        members: Members,
        optimizer: MemberOptimizer,
        train: TrainRows,
        recipe: Recipe,
        lessons: Lessons,
        learner: Learner,
        updates: bool,
    ) -> None:
        """Begin.

        Args:
            model: That members are called as.
            members: What learns.
            optimizer: Of the members.
            train: The train split, on their device.
            recipe: How they learn.
            lessons: What each row of the members learns from.
            learner: What a step minimises, and what happens beside it.
            updates: Whether gates of any member change buffers at a step.
        """
        self.model, self.members, self.optimizer = model, members, optimizer
        self.train, self.recipe, self.device = train, recipe, members.device
        self.split, self.factors = train.split, train.factors
        self.learner, self.updates = learner, updates
        self.draws = True
        """Whether steps draw at random; a rehearsal finds out, or the step that does first."""
        self.records = self.device.type in REPLAYS and not members.has_sparse_gradients
        """Whether steps are written down, to be repeated; to be unset where they cannot be."""
        self.notes: list[str] = []
        """What a step could not do as usual, a line each."""
        self._drawn = train.drawn
        self.begin(lessons)

    def begin(self, lessons: Lessons) -> None:
        """Go on with rows of these lessons, of which others may have left."""
        self.lessons, seeds = lessons, lessons.seeds
        rows, recipe = len(self.split.inputs), self.recipe
        self.passage = Passage(
            seeds,
            rows,
            recipe.batch_size,
            recipe.max_epochs,
            self.device,
            lessons.correlations,
        )
        shape = (len(seeds),) if self.factors is None else (len(seeds), 2)
        self.losses = torch.zeros(shape, device=self.device)
        """Those of the pass's rows so far, added up: ``(members,)``, or where rows are weighted
        ``(members, 2)``, weighted and unweighted."""
        self.replays: dict[int, Replay] = {}
        self.taken = 0
        """Steps of the pass that is under way."""
        self._under_way = 0

    def run(self, epoch: int) -> Tensor:
        """Make one pass, counted from 0; return the mean losses, in the form of ``losses``.

        One that has raised is gone on with where it was.
        """
        self.model.train()
        rows, size = self.passage.rows_in_all, self.passage.size
        if not self.taken:
            self.begin_pass(epoch)
        with self.drawing(epoch):
            for start in range(self.taken * size, rows, size):
                self.step(min(size, rows - start))
                self.taken += 1
        self.taken = 0
        self._call(self.learner.after_pass, self.train)
        return self.losses / rows

    @contextmanager
    def drawing(self, epoch: int) -> Iterator[None]:
        """Compute as a pass does: what draws without a key follows from the seeds and the epoch."""
        with (
            drawing_from(_mixed(*self.lessons.seeds, epoch), self.device),
            precise(self.recipe.precision, self.device, self.model, self.model.mixture.gates),
        ):
            yield

    def leave(self, rows: Sequence[int], epoch: int) -> None:
        """Go on within a pass with these alone, which members and optimiser have kept."""
        taken, losses = self.taken, self.losses[rows]
        self.begin(self.lessons.keep(rows))
        self.begin_pass(epoch)
        self.taken = taken
        self.losses.copy_(losses)
        self.passage.advance(taken)
        self.optimizer.skip(taken)

    def begin_pass(self, epoch: int) -> None:
        """Put on the device what the steps of a pass need."""
        self.passage.begin(epoch)
        self.optimizer.ready(epoch * self.passage.steps, self.passage.steps)
        self.losses.zero_()

    def step(self, rows: int) -> None:
        """Take one optimiser step on the pass's next rows, so many for each member."""
        self._under_way = rows
        if not self.records:
            self.eager_step(rows)
            return
        if rows not in self.replays:
            owners = [*self.model.modules(), self.learner]
            kind = REPLAYS[self.device.type]
            self.replays[rows] = kind(_step_of(self, rows), owners)
        replay = self.replays[rows]
        replay()
        if replay.failure:
            self.records = False
        if replay.failure and replay.told:
            reason = as_line(replay.failure, REASON)
            self.notes.append(f"a step cannot be {replay.form} ({reason}): it runs as it comes")

    def eager_step(self, rows: int) -> None:
        """Do on the device what :meth:`step` does there."""
        self.members.clear_gradients()  # as one leaves that could not be recorded
        losses, buffers = self._learn_drawing(self.passage.rows(rows))
        if self.learner.descends:
            self._call(self.learner.before_step)
            self.optimizer.step(self.learner.resting)
            self._call(self.learner.after_step)
        for name, buffer in buffers.items():
            self.members.buffers[name].copy_(buffer)
        self.losses += losses * rows
        self.passage.advance()

    def _call(self, hook: Callable[..., None], *more: TrainRows) -> None:
        """Let the learner change members, but not put other tensors where steps look for theirs."""
        flat = self.members.flat
        with tensor_cores(False):  # what is rounded are the model's products alone
            hook(self.members, *more)
        if self.members.flat is not flat:
            raise ValueError(
                f"{type(self.learner).__name__}.{hook.__name__} must change `members.flat` in "
                "place, as by `copy_` or `add_`, but puts another tensor there."
            )

    def rehearse(self, count: int, members: Members | None = None) -> list[Tensor]:
        """Return losses, next buffers and gradients of a step on so many rows, not taken.

        Args:
            count: Of the first rows.
            members: That learn from what as many of the loop's do; by default these.
        """
        self.model.train()
        members = self.members if members is None else members
        rows = torch.arange(min(count, len(self.split.inputs)), device=self.device)
        members.clear_gradients()
        losses, buffers = self._learn(rows.expand(len(self.members), -1), members)
        return [losses, *buffers.values(), *members.gradients()]

    def unreached(self, count: int) -> set[str]:
        """Return the parameters that no loss of steps on so many rows depends on.

        One that is drawn to be left out of one step, as a layer may be, is in another.
        """
        self.model.train()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            found = [self._unreached(count) for _ in range(LOOKS)]
        return set.intersection(*found)

    def _unreached(self, count: int) -> set[str]:
        rows = torch.arange(min(count, len(self.split.inputs)), device=self.device)
        gradients = self._alone(0, rows.expand(len(self.members), -1))
        return {name for name, found in gradients.items() if found is None}

    def repeat_alone(self, member: int) -> None:
        """Do for one member alone what the step under way has done until it raised, or after it."""
        self._alone(member, self.passage.rows(self._under_way))

    def _alone(self, member: int, rows: Tensor) -> dict[str, Tensor | None]:
        """Return one member's gradients by name, of its row of ``(members, batch)``; nothing moves.

        None are of what its loss does not depend on.
        """
        state = self.members.state(member)
        learnt = {name: state[name].requires_grad_() for name in self.members.shapes}
        given, progress = self._given(rows)
        mine: list[Any] = [part if part is None else part[member] for part in given]
        of_member = self.train.called(self.learner.objective, self.members)
        objective = of_member({**state, **learnt}, *mine, progress)[0]
        found = torch.autograd.grad(objective, list(learnt.values()), allow_unused=True)
        return dict(zip(learnt, found, strict=True))

    def end_rehearsal(self) -> list[str]:
        """Keep to what was found of draws and lookups; return a line if not all have a key."""
        self.members.end_rehearsal()
        self.draws = bool(self._drawn)
        return [UNKEYED] if "unkeyed" in self._drawn else []

    def _learn_drawing(self, rows: Tensor) -> tuple[Tensor, Tensors]:
        """Do what :meth:`_learn` does, from keys where a step begins to draw after the rehearsal.

        As with noise that a schedule turns on, or in a layer for rows that have no value.
        """
        known = set(self._drawn)
        found = self._learn(rows, self.members)
        if self._drawn <= known:
            return found
        if not self.draws:
            self.draws = True
            self.replays.clear()  # which have no keys
            self.members.clear_gradients()
            self._drawn.discard("unkeyed")
            found = self._learn(rows, self.members)
        if "unkeyed" in self._drawn - known:
            self.notes.append(UNKEYED)
        return found

    def _learn(self, rows: Tensor, members: Members) -> tuple[Tensor, Tensors]:
        """Leave the gradients of ``(members, batch)`` rows; return losses and next buffers."""
        before = self._random_state()
        losses: Tensor
        buffers: Tensors
        given, progress = self._given(rows)
        mine = tuple(part if part is None else part[: len(members)] for part in given)
        with torch.set_grad_enabled(self.learner.descends):
            objectives, losses, buffers = self.train.call(
                self.learner.objective, members, mine, progress
            )
        if self.learner.descends:
            objectives.sum().backward()
        if before is not None and not torch.equal(generator_state(self.device), before):
            self._drawn.add("unkeyed")
        return losses, buffers

    def _random_state(self) -> Tensor | None:
        """Return that of torch's generator, where it tells anything new."""
        replay = self.replays.get(self._under_way)
        if "unkeyed" in self._drawn or (replay is not None and replay.writing):
            return None
        return generator_state(self.device)

    def _given(self, rows: Tensor) -> tuple[Given, Tensor | None]:
        """Return what each member learns from of its ``(members, batch)`` rows, and progress."""
        keys = self.passage.keys() if self.draws else None
        lessons, taught = self.lessons, self.learner.taught
        own = self.train.given(rows, keys, lessons.weights, lessons.own, taught)
        return own, self.passage.progress() if self.updates else None


def _step_of(loop: Loop, rows: int) -> Callable[[], None]:
    """Return a loop's step on so many rows, which does not keep what the loop holds alive."""
    found = WeakMethod(loop.eager_step)

    def step() -> None:
        eager = found()
        assert eager is not None
        eager(rows)

    return step


def _mixed(*numbers: int) -> int:
    """Return one seed that follows from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
