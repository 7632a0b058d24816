"""Passes over splits, with what a learner tells of its members beside the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatelab.tasks.task import Split
from gatelab.training.copies import Copies
from gatelab.training.evaluation import Evaluation, evaluate
from gatelab.training.learners import Learner
from gatelab.training.members import Members
from gatelab.training.model import Model


class Evaluator:
    """Evaluates members of one structure, and lets their learner tell of them."""

    def __init__(
        self,
        model: Model,
        copies: Copies,
        learner: Learner,
        options: Sequence[Mapping[str, Any]],
    ) -> None:
        """Begin.

        Args:
            model: That members are called as.
            copies: Of each.
            learner: Theirs.
            options: Of the learner, for each member.
        """
        self.model, self.copies, self.learner, self.options = model, copies, learner, options

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

    def _told(
        self,
        members: Members,
        split: Split,
        which: Sequence[int],
        steps: Sequence[int],
        *,
        ended: bool,
    ) -> list[Evaluation]:
        found = evaluate(members, self.model, split, self.copies)
        facts = {name: values.tolist() for name, values in self.learner.facts(members).items()}
        own = [
            {name: values[place] for name, values in facts.items()} for place in range(len(found))
        ]
        spent = [
            self.learner.spent(self.options[member], len(self.model.targets), taken, ended=ended)
            for member, taken in zip(which, steps, strict=True)
        ]
        return [
            each._replace(learner={**mine, **used})
            for each, mine, used in zip(found, own, spent, strict=True)
        ]
