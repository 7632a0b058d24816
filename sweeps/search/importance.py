"""Importance: which hyperparameters a gate's validation loss depends on."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

FEWEST = 8
"""Trials below which a forest of trees says nothing."""


def importance(trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the importance of every hyperparameter that all trials have; they add up to 1.

    By fANOVA of Hutter et al., An Efficient Approach for Assessing Hyperparameter Importance, 2014,
    as Optuna has it. Trials are compared by their loss after as many epochs as all but failed ones
    have reached, so that pruned trials count and no loss of a longer training is set against one
    of a shorter.

    Returns:
        Nothing where fewer than ``FEWEST`` trials compare, or no hyperparameter varies.
    """
    losses = _losses(trials)
    if len(losses) < FEWEST or len(set(losses.values())) == 1:
        return {}
    # Here: scikit-learn takes half a second to import, and a small search needs none.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    study = optuna.create_study()
    study.add_trials(
        create_trial(
            params=trial.params, distributions=trial.distributions, value=losses[trial.number]
        )
        for trial in trials
        if trial.number in losses
    )
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(value) for name, value in found.items()}


def _losses(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """Return by number the lowest loss up to the first rung that pruned; without one, of all."""
    reached = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    pruned = [t.last_step for t in reached if t.state == TrialState.PRUNED]
    rung = min((step for step in pruned if step is not None), default=None)
    found = {t.number: t.value if rung is None else _until(t, rung) for t in reached}
    return {number: loss for number, loss in found.items() if loss is not None}


def _until(trial: FrozenTrial, epoch: int) -> float | None:
    """Return the loss at an epoch; of a trial that was over before it, at its end."""
    return trial.intermediate_values.get(epoch, trial.value)
