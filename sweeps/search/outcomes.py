"""What the trials of one gate's search came to."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gatelab.training.goal import Goal, Rank

OPTUNA_STATES = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
WORST = Rank(True, math.inf)


class Outcomes:
    """The trials of an Optuna study that have ended: how, why, and which is best."""

    def __init__(self, study: optuna.Study, goal: Goal) -> None:
        """Look at a study, now and whenever trials have been added."""
        self.study, self.goal = study, goal

    def rank(self, frozen: FrozenTrial) -> Rank:
        """Return what a trial that has ended is worth."""
        objective = frozen.user_attrs["objective"]
        cost = math.inf if objective is None else self.goal.cost(objective)
        return Rank(frozen.user_attrs.get("broken", False), cost)

    def ranked(self, below: int | None = None) -> list[FrozenTrial]:
        """Return the trials below a number that gave a rank, or all such, the best first.

        Whoever keeps what is required is before whoever does not, then who went further. One that
        is under way gives none yet.
        """
        tried = self.study.get_trials(deepcopy=False)[:below]
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        ranked = [trial for trial in tried if trial.state in ended]

        def worth(trial: FrozenTrial) -> tuple[bool, bool, int, float, int]:
            broken, cost = self.rank(trial)
            pruned = trial.state == TrialState.PRUNED
            return broken, pruned, -trial.user_attrs["epoch"] * pruned, cost, trial.number

        return sorted(ranked, key=worth)

    def selected(self) -> FrozenTrial | None:
        """Return the best finished trial; ``None`` where there is none."""
        done = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return min(done, key=lambda trial: (self.rank(trial), trial.number), default=None)

    def best_with(self, name: str, value: Any) -> FrozenTrial | None:
        """Return the best trial with a value of a hyperparameter, whether it was pruned or not.

        ``None`` where all failed, or none was drawn.
        """
        return next((trial for trial in self.ranked() if trial.params[name] == value), None)

    def best(self) -> Rank:
        """Return the rank of the best finished trial; the worst there is without any."""
        selected = self.selected()
        return WORST if selected is None else self.rank(selected)

    def reasons(self) -> Counter[str]:
        """Return why trials failed, and how many for each reason."""
        failed = self.study.get_trials(deepcopy=False, states=[TrialState.FAIL])
        return Counter(str(trial.user_attrs.get("reason", "")) for trial in failed)

    def epochs(self) -> int:
        """Return how many epochs all members of the trials that have ended trained, added up."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(trial.user_attrs["trained"] for trial in trials if trial.state.is_finished())

    def ends(self) -> Counter[str]:
        """Return how many trials ended each way."""
        trials = self.study.get_trials(deepcopy=False)
        ends = {state: end for end, state in OPTUNA_STATES.items()}
        return Counter(ends[trial.state] for trial in trials if trial.state in ends)
