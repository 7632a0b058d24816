"""Importance: which hyperparameters the objective of a gate's trials depends on."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

FEWEST = 8
"""Trials below which a forest of trees says nothing."""
MOST_TRIALS = 200
"""Trials that a forest is grown of: its time grows with their square, and jobs wait meanwhile."""
Compared = tuple[FrozenTrial, float]
"""A trial, and the loss by which it is compared."""


def importance(trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the importance of every hyperparameter that all trials have; they add up to 1.

    By fANOVA of Hutter et al., An Efficient Approach for Assessing Hyperparameter Importance, 2014,
    as Optuna has it. Trials are compared by their loss after as many epochs as all but failed ones
    have reached, so that pruned trials count and no loss of a longer training is set against one
    of a shorter. Of many they are thinned evenly.

    Args:
        trials: Of one gate, of one search or several.

    Returns:
        Nothing where fewer than ``FEWEST`` trials compare, no hyperparameter that all of them have
        varies, or by so little that trees cannot divide them.
    """
    compared = _thinned(_compared(trials))
    if len(compared) < FEWEST or len({loss for _, loss in compared}) == 1 or not _vary(compared):
        return {}
    # Here: scikit-learn takes half a second to import, and a small search needs none.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    study = optuna.create_study()
    study.add_trials(
        create_trial(params=trial.params, distributions=trial.distributions, value=loss)
        for trial, loss in compared
    )
    try:
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    except RuntimeError:  # no tree has found a split: values differ by less than float32 tells
        return {}
    return {name: float(value) for name, value in found.items()}


def _vary(compared: Sequence[Compared]) -> bool:
    """Return whether any hyperparameter that all trials have takes several values."""
    first, *others = (trial.params for trial, _ in compared)
    common = [name for name in first if all(name in params for params in others)]
    return any(params[name] != first[name] for name in common for params in others)


def _compared(trials: Sequence[FrozenTrial]) -> list[Compared]:
    """Return trials with the loss at the first rung that pruned; without one, at their end.

    They are told apart by their places, since trials of several searches have the same numbers.
    """
    reached = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    pruned = [t.last_step for t in reached if t.state == TrialState.PRUNED]
    rung = min((step for step in pruned if step is not None), default=None)
    found = [(t, t.value if rung is None else _until(t, rung)) for t in reached]
    return [(trial, loss) for trial, loss in found if loss is not None]


def _thinned(compared: Sequence[Compared]) -> list[Compared]:
    """Return ``MOST_TRIALS`` of them at most, as far from each other as can be."""
    count = min(MOST_TRIALS, len(compared))
    return [compared[len(compared) * place // count] for place in range(count)]


def _until(trial: FrozenTrial, epoch: int) -> float | None:
    """Return the loss at an epoch; of a trial that was over before it, at its end."""
    return trial.intermediate_values.get(epoch, trial.value)
