"""Successive halving as Optuna does it, in a time that does not grow with the trials.

Private of Optuna: a study's ``_storage``, a trial's ``_trial_id``, and the name of the notes of
rungs; guarded by tests/test_private_attributes.py.
"""

from __future__ import annotations

from bisect import insort

from optuna.pruners import SuccessiveHalvingPruner
from optuna.study import Study
from optuna.trial import FrozenTrial

COMPLETED = "completed_rung_{}"
"""Where Optuna notes with a trial its value at a rung."""


class Halving(SuccessiveHalvingPruner):
    """Decides as Optuna's pruner does, for one study that this process alone writes.

    Optuna's reads every trial of the study at each rung of each of them: over 10,000 trials a
    time that grows with their square. Here the values of each rung are kept in order. They are
    noted with the trials as Optuna notes them, so that a resume, or Optuna's own pruner, goes on.
    """

    def __init__(self, grace_epochs: int, reduction_factor: int) -> None:
        """Prune from so many epochs on, and let one of so many trials go on."""
        super().__init__(grace_epochs, reduction_factor)
        self.grace, self.factor = grace_epochs, reduction_factor
        self.rungs: list[list[float]] | None = None
        """The values at each rung, lowest first; unknown before the first question."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether a trial is to end at the last epoch that it has reported."""
        epoch = trial.last_step
        if epoch is None:
            return False
        if self.rungs is None:
            self.rungs = _noted(study)
        rungs, value, rung = self.rungs, trial.intermediate_values[epoch], 0
        while COMPLETED.format(rung) in trial.system_attrs:
            rung += 1
        while epoch >= self.grace * self.factor**rung:
            study._storage.set_trial_system_attr(trial._trial_id, COMPLETED.format(rung), value)
            if rung == len(rungs):
                rungs.append([])
            insort(rungs[rung], value)
            if value > rungs[rung][max(len(rungs[rung]) // self.factor - 1, 0)]:
                return True
            rung += 1
        return False


def _noted(study: Study) -> list[list[float]]:
    """Return the values that are noted with a study's trials, from before a stop."""
    rungs: list[list[float]] = []
    for trial in study.get_trials(deepcopy=False):
        rung = 0
        while (value := trial.system_attrs.get(COMPLETED.format(rung))) is not None:
            if rung == len(rungs):
                rungs.append([])
            rungs[rung].append(value)
            rung += 1
    return [sorted(values) for values in rungs]
