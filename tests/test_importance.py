"""Importance: pruned trials count, at equal epochs; the hyperparameter that matters is found."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gatelab.sweeps.search.importance import FEWEST, MOST_TRIALS, importance

SPACE = {"gate.gamma": FloatDistribution(0, 1), "optimizer.learning_rate": FloatDistribution(0, 1)}


def trials(count: int, pruned: int = 0) -> list[FrozenTrial]:
    """Make trials whose loss after 5 epochs is gamma's square; two of three go on, and improve."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        gamma, rate = rng.random(2)
        stop = number < pruned
        values = {5: gamma**2} if stop else {5: gamma**2, 10: rate - 100}
        trial = create_trial(
            params={"gate.gamma": gamma, "optimizer.learning_rate": rate},
            distributions=SPACE,
            value=None if stop else rate - 100,
            state=TrialState.PRUNED if stop else TrialState.COMPLETE,
            intermediate_values=values,
        )
        trial.number = number
        found.append(trial)
    return found


def test_with_pruned_trials_losses_of_equal_epochs_are_compared() -> None:
    found = importance(trials(40, pruned=25))
    assert sum(found.values()) == pytest.approx(1)
    assert found["gate.gamma"] > 0.9


def test_without_pruned_trials_the_end_counts() -> None:
    assert importance(trials(40))["optimizer.learning_rate"] > 0.9


def test_one_that_ended_early_by_itself_cuts_no_other() -> None:
    """Of a trial whose patience ran out at epoch 5 the end counts, as of all others."""
    found = trials(40)
    del found[0].intermediate_values[10]
    assert importance(found)["optimizer.learning_rate"] > 0.9


def test_a_failed_trial_does_not_count_though_it_reached_the_rung() -> None:
    found = trials(40, pruned=25)
    failed = trials(40)
    for trial in failed:
        trial.state, trial.value = TrialState.FAIL, None
        trial.intermediate_values = {5: trial.params["optimizer.learning_rate"] * 100}
    assert importance([*found, *failed]) == importance(found)


def test_few_trials_say_nothing() -> None:
    assert importance(trials(FEWEST - 1)) == {}
    assert importance(trials(FEWEST)) != {}


def test_failed_trials_and_equal_losses() -> None:
    failed = create_trial(params={}, distributions={}, state=TrialState.FAIL)
    assert importance([failed] * 20) == {}
    same = [create_trial(params={}, distributions={}, value=1.0) for _ in range(20)]
    for number, trial in enumerate(same):
        trial.number = number
    assert importance(same) == {}


@pytest.mark.parametrize("step", [0.0, 1e-12])
def test_hyperparameters_that_do_not_vary_say_nothing(step: float) -> None:
    """Or by less than float32 tells, in which trees compare; of some trials alone one does."""
    found = []
    for number in range(12):
        params = {"gate.gamma": 0.5 + step * number}
        if number % 2:
            params["optimizer.learning_rate"] = number / 12
        space = {name: SPACE[name] for name in params}
        found.append(create_trial(params=params, distributions=space, value=float(number)))
    assert importance(found) == importance(found[::-1]) == {}


def test_one_that_does_not_vary_beside_one_that_does_has_none() -> None:
    found = [
        create_trial(
            params={"gate.gamma": 0.5, "optimizer.learning_rate": number / 12},
            distributions=SPACE,
            value=float(number),
        )
        for number in range(12)
    ]
    assert importance(found) == {"optimizer.learning_rate": 1, "gate.gamma": 0}


def test_trials_of_several_searches_have_the_same_numbers() -> None:
    """Their losses are their own: that of the second search's trial 3 is none of the first's."""
    first, second = trials(80)[:40], trials(80)[40:]
    for number, trial in enumerate(second):
        trial.number = number
    assert importance([*first, *second]) == importance(trials(80))
    assert importance(trials(80))["optimizer.learning_rate"] > 0.9


def test_many_trials_are_thinned_evenly() -> None:
    many = trials(3 * MOST_TRIALS)
    assert importance(many) == importance(many[::3])
