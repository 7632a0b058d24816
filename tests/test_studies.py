"""Studies: a search with its trials' true ends, which goes on where a stop left it."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from gatelab.sweeps.search.studies import Study, TrialEnd, open_studies
from gatelab.sweeps.spec.space import SearchSpace

SPACE = SearchSpace({"gate.k": 2}, {"gate.gamma": FloatDistribution(0.01, 10.0, log=True)})


def opened(folder: Path, sampler: str = "tpe", halving: tuple[int, int] | None = None) -> Study:
    path = folder / "studies.journal"
    return open_studies(path, {"one": SPACE}, sampler=sampler, seed=3, halving=halving)["one"]


def finished(objective: float) -> TrialEnd:
    return TrialEnd("finished", "reached max_epochs (4)", 4, objective)


def test_every_end_is_told_as_it_was(tmp_path: Path) -> None:
    study = opened(tmp_path)
    inf = float("inf")
    outcomes = [
        finished(0.5),
        TrialEnd("pruned", "was not among the best", 2, 0.1),
        TrialEnd("failed", "val/loss is nan", 1, inf),
    ]
    for outcome in outcomes:
        number, chosen = study.ask()
        assert chosen.gate["k"] == 2
        study.tell(number, outcome)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    trials = study.study.get_trials()
    assert [trial.state for trial in trials] == states
    assert [trial.user_attrs["reason"] for trial in trials] == [o.reason for o in outcomes]
    assert study.ends() == {"finished": 1, "pruned": 1, "failed": 1}
    selected = study.selected()
    assert selected is not None
    assert selected[0] == 0, "only a finished trial is selected"
    assert study.best() == 0.5


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_it_goes_on_after_a_stop_as_if_there_were_none(sampler: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    courses = []
    for name in ("whole", "stopped"):
        study = opened(tmp_path / name, sampler)
        course = []
        for i in range(14):  # beyond TPE's random start
            number, chosen = study.ask()
            if name == "stopped" and i in (3, 12):
                study = opened(tmp_path / name, sampler)
                assert study.ask() == (number, chosen), "the trial that was cut short comes first"
            course.append((number, chosen))
            study.tell(number, finished(abs(chosen.gate["gamma"] - 1)))
        courses.append(course)
    assert courses[0] == courses[1]


def test_it_draws_what_optunas_tpe_draws(tmp_path: Path) -> None:
    """With a choice, an integer, a value that cannot vary, and ends of every kind."""
    drawn: dict[str, BaseDistribution] = {
        "gate.z": FloatDistribution(0.01, 10.0, log=True),
        "gate.k": IntDistribution(1, 4),
        "gate.one": IntDistribution(3, 3),
        "gate.a": CategoricalDistribution(["x", "y"]),
    }
    spaces = {"one": SearchSpace({}, drawn)}
    study = open_studies(tmp_path / "j", spaces, sampler="tpe", seed=3)["one"]
    theirs = optuna.create_study()
    ends = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    live = []
    for ask in range(40):
        number, chosen = study.ask()
        seed = int(np.random.SeedSequence([3, ask]).generate_state(1)[0])
        theirs.sampler = TPESampler(seed=seed)
        trial = theirs.ask(drawn)
        assert chosen.values == trial.params
        live.append((number, trial))
        if len(live) == 4:
            number, trial = live.pop(0)
            end = ("finished", "finished", "pruned", "failed")[ask % 4]
            loss = abs(trial.params["gate.z"] - 1)
            study.report(number, 1, loss)
            trial.report(loss, 1)
            study.tell(number, TrialEnd(end, "because", 1, loss))
            theirs.tell(trial, loss if end == "finished" else None, ends[end])


def test_it_prunes_what_lags_behind(tmp_path: Path) -> None:
    study = opened(tmp_path, halving=(2, 2))
    pruned = []
    for objective in (0.1, 0.2, 0.3, 0.4):
        number, _ = study.ask()
        assert not study.report(number, 1, objective), "before the first rung"
        pruned.append(study.report(number, 2, objective))
        study.tell(number, finished(objective))
    assert pruned == [False, True, True, True]
    number, _ = study.ask()
    assert study.report(number, 2, float("inf")) is False, "nothing finite to compare yet"


def test_it_prunes_as_optunas_pruner_does_also_after_a_stop(tmp_path: Path) -> None:
    """Trials side by side, with equal and infinite losses and leaps over rungs."""
    draws = random.Random(0)
    study, theirs = (
        opened(tmp_path, "random", (2, 2)),
        optuna.create_study(pruner=SuccessiveHalvingPruner(2, 2)),
    )
    live: dict[int, tuple[optuna.Trial, int]] = {}
    decisions = []
    for event in range(600):
        if event == 300:  # the trials that a stop cut short come first
            study = opened(tmp_path, "random", (2, 2))
            assert {study.ask()[0] for _ in live} == set(live)
        if len(live) < 8:
            live[study.ask()[0]] = (theirs.ask(), 0)
        number = draws.choice(sorted(live))
        trial, epoch = live[number]
        epoch += draws.choice((1, 1, 1, 5))
        loss = draws.choice((draws.random(), 0.5, float("inf")))
        live[number] = (trial, epoch)
        if loss < float("inf"):
            trial.report(loss, epoch)
        decisions.append(trial.should_prune())
        assert study.report(number, epoch, loss) == decisions[-1]
        if decisions[-1] or epoch > 16:
            study.tell(number, finished(0.5))
            theirs.tell(trial, 0.5)
            del live[number]
    assert 50 < sum(decisions) < 500


def test_a_rung_takes_no_longer_after_many_trials(tmp_path: Path) -> None:
    """Optuna's own pruner reads all trials again at every rung of each."""
    study = opened(tmp_path, "random", (2, 2))
    read = 0

    def get_trials(*_: Any, **__: Any) -> list[optuna.trial.FrozenTrial]:
        nonlocal read
        read += 1
        return []

    study.study.get_trials = get_trials  # type: ignore[method-assign]
    for objective in (0.1, 0.2, 0.3, 0.4):
        number, _ = study.ask()
        study.report(number, 2, objective)
    assert read == 1, "at the first rung, for what was there before a stop"


def test_a_trials_saved_state_outlives_a_stop_but_not_the_trial(tmp_path: Path) -> None:
    study = opened(tmp_path)
    (first, _), (second, _) = study.ask(), study.ask()
    study.keep_state(first, "folder/1")
    study.keep_state(second, "folder/2")
    study.tell(first, finished(0.5))
    study.keep_state(first, "folder/3")  # noted by its worker after its end
    study.keep_state(second, "folder/4")
    again = opened(tmp_path)
    assert again.trial_states == {second: "folder/4"}
    assert again.ask()[0] == second
    again.tell(second, finished(0.5))
    assert again.trial_states == {}
    assert opened(tmp_path).trial_states == {}


def test_a_note_of_a_state_does_not_grow_with_the_trials_that_run(tmp_path: Path) -> None:
    """It is written after every epoch or few of each of perhaps a thousand."""
    study = opened(tmp_path)
    written = []
    for number in range(50):
        assert study.ask()[0] == number
        before = (tmp_path / "studies.journal").stat().st_size
        study.keep_state(number, "folder")
        written.append((tmp_path / "studies.journal").stat().st_size - before)
    assert max(written) < 1.1 * min(written)


def test_the_lock_of_a_killed_driver_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(Path())
    os.symlink("studies.journal", "studies.journal.lock")  # as it is left by kill -9
    number, _ = opened(Path()).ask()
    assert number == 0
