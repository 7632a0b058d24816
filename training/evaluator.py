"""Passes over splits, with what a learner tells of its members beside the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gatelab.tasks.task import Split
from gatelab.training.copies import Copies
from gatelab.training.evaluation import Evaluation, evaluate
from gatelab.training.learners import Learner
from gatelab.training.members import Members
from gatelab.training.model import Model
from gatelab.training.precision import tensor_cores
from gatelab.training.train_rows import TrainRows


class Evaluator:
    """Evaluates members of one structure, and lets their learner tell of them."""

    def __init__(
        self,
        model: Model,
        copies: Copies,
        learner: Learner,
        options: Sequence[Mapping[str, Any]],
        train: TrainRows,
        weights: Tensor | None = None,
    ) -> None:
        """Begin.

        Args:
            model: That members are called as.
            copies: Of each.
            learner: Theirs.
            options: Of the learner, for each member.
            train: From which what is scored may still learn.
            weights: What each member minimises targets' losses by, ``(members, targets)``, if not
                by the targets' own weights.
        """
        self.model, self.copies, self.learner, self.options = model, copies, learner, options
        self.train, self.weights = train, weights

    @tensor_cores(False)
    def scored(self, members: Members, which: Sequence[int]) -> Members:
        """Return what is scored of members, whose indices are these, a row for each copy."""
        weights = None if self.weights is None else self.weights[self.copies.each(which)]
        return self.learner.scored(members, which, self.train, weights)

    def going(
        self, members: Members, split: Split, which: Sequence[int], steps: Sequence[int]
    ) -> list[Evaluation]:
        """Return the evaluations of members that train.

        Args:
            members: Their tensors.
            split: On their device.
            which: Their indices.
            steps: That each has taken.
        """
        return self._told(members, split, which, steps, ended=False)

    def ended(
        self, members: Members, split: Split, which: Sequence[int], steps: Sequence[int]
    ) -> list[Evaluation]:
        """Return the evaluations of members that train no more, as :meth:`going` of others."""
        found = self._told(members, split, which, steps, ended=True)
        for fact, others in self.learner.beside(members).items():
            losses = [each.loss for each in evaluate(others, self.model, split, self.copies)]
            found = [
                each._replace(learner={**each.learner, fact: loss})
                for each, loss in zip(found, losses, strict=True)
            ]
        return found

    def alone(
        self, members: Members, row: int, split: Split, which: Sequence[int]
    ) -> list[Evaluation]:
        """Pass one row of members, of these indices, over a split by itself, with nothing told."""
        one = self.scored(members.of_one(row), [which[row // self.copies.count]])
        return evaluate(one, self.model, split)

    def _told(
        self,
        members: Members,
        split: Split,
        which: Sequence[int],
        steps: Sequence[int],
        *,
        ended: bool,
    ) -> list[Evaluation]:
        found = evaluate(self.scored(members, which), self.model, split, self.copies)
        facts = {name: values.tolist() for name, values in self.learner.facts(members).items()}
        own = [
            {name: values[place] for name, values in facts.items()} for place in range(len(found))
        ]
        spent = [
            self.learner.spent(self.options[member], len(self.model.targets), taken, ended=ended)
            for member, taken in zip(which, steps, strict=True)
        ]
        judged = [
            self.learner.judged(self.options[member], each.losses)
            for member, each in zip(which, found, strict=True)
        ]
        return [
            each._replace(learner={**mine, **used, **more})
            for each, mine, used, more in zip(found, own, spent, judged, strict=True)
        ]
