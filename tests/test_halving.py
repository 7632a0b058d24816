"""Halving: who goes on from a rung, whoever arrives first."""

from __future__ import annotations

import random

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner

from gatelab.sweeps.search.halving import Standing, ordinal, verdict
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.training.goal import Rank

ROUNDS = Rounds(8, (2, 4), 2)


def at(rung: int, *costs: float) -> dict[int, Standing]:
    """Return trials that have all arrived at a rung."""
    return {n: Standing({rung: Rank(False, cost)}) for n, cost in enumerate(costs)}


def test_the_best_half_goes_on() -> None:
    found = verdict(at(2, 0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0.4), ROUNDS)
    assert (found.going, found.until) == ((1, 3, 5, 7), 4)
    assert found.lost == {
        6: "5th of 8 at epoch 2",
        4: "6th of 8 at epoch 2",
        2: "7th of 8 at epoch 2",
        0: "8th of 8 at epoch 2",
    }


def test_nothing_is_decided_before_all_have_arrived() -> None:
    standings = at(2, 0.8, 0.1, 0.7, 0.2)
    standings[2] = Standing()
    found = verdict(standings, ROUNDS)
    assert (found.going, found.until, found.lost) == ((0, 1, 2, 3), 2, {})


def test_a_lower_loss_does_not_displace_what_keeps_the_requirement() -> None:
    standings = {
        0: Standing({2: Rank(True, 0.1)}),
        1: Standing({2: Rank(False, 0.9)}),
        2: Standing({2: Rank(True, 0.2)}),
        3: Standing({2: Rank(False, 0.8)}),
    }
    assert verdict(standings, ROUNDS).going == (1, 3)
    standings[3] = Standing({2: Rank(True, 0.8)})
    assert verdict(standings, ROUNDS).going == (0, 1), "of those that break it the best is next"


def test_equal_losses_are_settled_by_the_number() -> None:
    assert verdict(at(2, 0.5, 0.5, 0.5, 0.5), ROUNDS).going == (0, 1)


def test_a_failed_trial_takes_nobodys_place() -> None:
    standings = at(2, 0.5, 0.4, 0.3, 0.2)
    standings[0] = Standing(final=Rank(True, float("inf")), failed=True)
    assert verdict(standings, ROUNDS).going == (2, 3), "two of the four that set out"
    for number in (1, 2):
        standings[number] = Standing(final=Rank(True, float("inf")), failed=True)
    assert verdict(standings, ROUNDS).going == (3,)


def test_what_ended_by_itself_is_compared_at_later_rungs_as_it_ended() -> None:
    standings = at(2, 0.5, 0.1, 0.9, 0.8)
    standings[1] = Standing(final=Rank(False, 0.1))  # its patience ran out before the first rung
    standings[0].ranks[4] = Rank(False, 0.4)
    found = verdict(standings, ROUNDS)
    assert (found.going, found.until) == ((1,), None)
    assert found.lost[0] == "2nd of 2 at epoch 4"


def test_of_an_odd_number_the_smaller_half_goes_on() -> None:
    assert verdict(at(2, 0.1, 0.2, 0.3, 0.4, 0.5), ROUNDS).going == (0, 1)


def test_one_goes_on_at_least() -> None:
    assert verdict(at(2, 0.5), ROUNDS).going == (0,)
    assert verdict(at(2, 0.5, 0.4), Rounds(2, (2,), 5)).going == (1,)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_it_keeps_what_optunas_pruner_keeps_that_sees_all_others(factor: int) -> None:
    """Optuna's decides at once, by whoever has arrived: of the last it asks what we ask of all."""
    draws = random.Random(factor)
    costs = [draws.random() for _ in range(12)]
    kept = []
    for last in range(12):
        study = optuna.create_study(pruner=SuccessiveHalvingPruner(2, factor))
        trials = [study.ask() for _ in costs]
        for number in [n for n in range(12) if n != last] + [last]:
            trials[number].report(costs[number], 2)
            pruned = trials[number].should_prune()
        kept += [] if pruned else [last]
    assert verdict(at(2, *costs), Rounds(12, (2,), factor)).going == tuple(kept)


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th")
    ]


def test_a_failure_changes_no_earlier_decision() -> None:
    standings = at(2, 0.1, 0.2, 0.3, 0.4)
    standings[0].failed, standings[0].final = True, Rank(True, float("inf"))
    found = verdict(standings, ROUNDS)
    assert (found.going, found.until) == ((0, 1), 4) and set(found.lost) == {2, 3}
    standings[1].ranks[4] = Rank(False, 0.2)
    found = verdict(standings, ROUNDS)
    assert (found.going, found.until) == ((1,), None) and set(found.lost) == {0, 2, 3}
