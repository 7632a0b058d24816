"""Studies: a search with its trials' true ends, which goes on where a stop left it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.search.study import Ask, Study
from gatelab.sweeps.search.study_file import DamagedFile
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.training.goal import BY_LOSS, Goal, Rank
from gatelab.training.steps import Ending, Step

SPACE = SearchSpace(
    {"gate.k": 2}, {"gate.gamma": FloatDistribution(0.01, 10.0, log=True)}, {"gate.gamma": 1.0}
)
TRIALS = 12
WHOLE, HALVED = Rounds(6), Rounds(6, (2, 4), 2)


def opened(folder: Path, rounds: Rounds = WHOLE, goal: Goal = BY_LOSS) -> Study:
    path, spaces = folder / "studies.journal", {"one": SPACE}
    return open_studies(path, spaces, {"one": rounds}, sampler="tpe", seed=3, goal=goal)["one"]


def asked(study: Study) -> Ask:
    found = study.ask(TRIALS)
    assert found is not None
    return found


def finished(objective: float, *, broken: bool = False) -> Ending:
    return Ending("finished", "reached max_epochs (4)", 4, objective, broken)


def test_every_end_is_told_as_it_was(tmp_path: Path) -> None:
    study = opened(tmp_path)
    inf = float("inf")
    outcomes = [
        finished(0.5),
        Ending("pruned", "was not among the best", 2, 0.1),
        Ending("failed", "val/loss is nan", 1, inf),
    ]
    for outcome in outcomes:
        number, chosen, until = asked(study)
        assert (chosen.gate["k"], until) == (2, None)
        study.tell(number, outcome)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    trials = study.study.get_trials()[:3]
    assert [trial.state for trial in trials] == states
    assert [trial.user_attrs["reason"] for trial in trials] == [o.reason for o in outcomes]
    assert study.outcomes.ends() == {"finished": 1, "pruned": 1, "failed": 1}
    selected = study.selected()
    assert selected is not None
    assert selected[0] == 0, "only a finished trial is selected"
    assert study.outcomes.best() == Rank(False, 0.5)


def test_what_keeps_the_requirement_is_selected_first(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for objective, broken in ((0.1, True), (0.3, False), (0.2, False)):
        study.tell(asked(study).number, finished(objective, broken=broken))
    for again in (study, opened(tmp_path)):
        selected = again.selected()
        assert selected is not None
        assert (selected[0], again.outcomes.best()) == (2, Rank(False, 0.2))


def test_where_higher_is_better_the_highest_is_selected(tmp_path: Path) -> None:
    study = opened(tmp_path, goal=Goal("val/mean/auroc", higher_is_better=True))
    for objective in (0.7, 0.9, 0.8):
        study.tell(asked(study).number, finished(objective))
    selected = study.selected()
    assert selected is not None
    assert (selected[0], study.outcomes.best()) == (1, Rank(False, -0.9))


def loss(study: Study, number: int, epoch: int) -> float:
    gamma: float = study.trials[number].params["gate.gamma"]
    return abs(gamma - 1) + 1 / epoch


def search(folder: Path, stops: set[int] = frozenset()) -> tuple[list[Ask], Study]:  # type: ignore[assignment]
    """Search alone; a stop after so many events cuts a trial short, or comes between two."""
    study, events, course = opened(folder, HALVED), 0, []
    while (found := study.ask(TRIALS)) is not None:
        if events in stops:
            study = opened(folder, HALVED)
            assert study.ask(TRIALS) == found, "the trial that was cut short comes first"
        events += 1
        course.append(found)
        number, _, until = found
        if until is None:
            study.tell(number, finished(loss(study, number, 8)))
        else:
            study.arrive(number, Step(until, loss(study, number, until), False, [], None))
        if events in stops:
            study = opened(folder, HALVED)
        for lost, outcome in study.lost():
            study.tell(lost.number, outcome)
            if events in stops:
                study = opened(folder, HALVED)
    return course, study


def test_a_round_is_halved_at_every_rung_and_the_next_follows(tmp_path: Path) -> None:
    course, study = search(tmp_path)
    assert [(ask.number, ask.until) for ask in course[:6]] == [(n, 2) for n in range(6)]
    assert [ask.until for ask in course] == [2] * 6 + [4] * 3 + [None] + [2] * 6 + [4] * 3 + [None]
    assert study.outcomes.ends() == {"finished": 2, "pruned": 10}
    values = [abs(trial.params["gate.gamma"] - 1) for trial in study.study.get_trials()]
    for first in (0, 6):
        ranked = sorted(range(first, first + 6), key=lambda number: values[number])
        finals = [
            ask.number for ask in course if ask.until is None and first <= ask.number < first + 6
        ]
        assert finals == ranked[:1]
        reasons = [study.study.get_trials()[n].user_attrs["reason"] for n in ranked[1:]]
        assert reasons == [
            *("2nd of 3 at epoch 4", "3rd of 3 at epoch 4"),
            *(f"{place}th of 6 at epoch 2" for place in (4, 5, 6)),
        ]


@pytest.mark.parametrize("stops", [{3}, {6}, {9}, {10}, {12, 16}, set(range(20))])
def test_it_goes_on_after_a_stop_as_if_there_were_none(stops: set[int], tmp_path: Path) -> None:
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole, _ = search(tmp_path / "whole")
    stopped, study = search(tmp_path / "stopped", stops)
    assert stopped == whole
    assert study.outcomes.ends() == {"finished": 2, "pruned": 10}


def test_a_stop_while_a_round_is_drawn_changes_nothing(tmp_path: Path) -> None:
    study = opened(tmp_path)
    drawn = [asked(study).configuration for _ in range(6)]
    journal = tmp_path / "studies.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    made = [number for number, line in enumerate(lines) if b'"op_code": 4' in line]
    journal.write_bytes(b"".join(lines[: made[2]]))  # two of them are there
    again = opened(tmp_path)
    assert len(again.study.get_trials()) == 2
    assert [asked(again).configuration for _ in range(6)] == drawn


def test_a_search_that_was_begun_in_other_rounds_does_not_go_on(tmp_path: Path) -> None:
    """Some of its trials would never be asked for."""
    study = opened(tmp_path, Rounds(12))
    for _ in range(7):
        asked(study)
    study.tell(0, finished(0.5))
    with pytest.raises(DamagedFile, match="'one' was begun in other rounds"):
        opened(tmp_path)


def test_what_runs_or_waits_is_not_asked_for(tmp_path: Path) -> None:
    study = opened(tmp_path, HALVED)
    six = [asked(study) for _ in range(6)]
    assert study.ask(TRIALS) is None, "all of them run"
    for found in six[:5]:
        spent = {"trained": 4, "seconds": 0.25}  # by two members together
        study.arrive(found.number, Step(2, found.number / 10, False, [], None, **spent))
    assert study.ask(TRIALS) is None and study.lost() == [], "nothing is decided before the last"
    study.arrive(5, Step(2, 0.05, False, [], None))
    assert [(found.number, outcome.end) for found, outcome in study.lost()] == [
        (2, "pruned"),
        (3, "pruned"),
        (4, "pruned"),
    ]
    again = opened(tmp_path, HALVED)  # what was spent outlives a stop
    for (_, outcome), (_, after) in zip(study.lost(), again.lost(), strict=True):
        assert outcome == after and outcome.trained == 2 * outcome.epoch
        assert outcome.metrics["time/train_seconds"] == 0.25
    for asked_for, outcome in study.lost():
        study.tell(asked_for.number, outcome)
    assert study.outcomes.epochs() == 3 * 2 * 2
    assert [asked(study)[::2] for _ in range(3)] == [(0, 4), (1, 4), (5, 4)]


def test_a_trials_saved_state_outlives_a_stop_but_not_the_trial(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first, second = asked(study).number, asked(study).number
    study.keep_state(first, "folder/1")
    study.keep_state(second, "folder/2")
    study.tell(first, finished(0.5))
    study.keep_state(first, "folder/3")  # noted by its worker after its end
    study.keep_state(second, "folder/4")
    again = opened(tmp_path)
    assert again.trial_states == {second: "folder/4"}
    assert asked(again).number == second
    again.tell(second, finished(0.5))
    assert again.trial_states == {}
    assert opened(tmp_path).trial_states == {}


def test_the_best_at_a_value_is_asked_for_while_trials_run(tmp_path: Path) -> None:
    """As when another gate ends: what is under way stands nowhere yet."""
    study = opened(tmp_path)
    first, second = asked(study), asked(study)
    assert second.number in study.trials
    (name, value), *_ = study.trials[first.number].params.items()
    study.tell(first.number, finished(0.5))
    found = study.best_with(name, value)
    assert found is not None and found[0] == first.number


def test_a_note_of_a_state_does_not_grow_with_the_trials_that_run(tmp_path: Path) -> None:
    """It is written after every epoch or few of each of perhaps a thousand."""
    study = opened(tmp_path, Rounds(50))
    written = []
    for number in range(50):
        assert study.ask(50) is not None
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
    assert asked(opened(Path())).number == 0
