"""Repeats, splits and rows at one k: what is searched and evaluated, and in which order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.widths import keep_widths
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.searches import Search, mixed
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step
from tests.handing import next_job

GAMMA = {"gate.gamma": FloatDistribution(0.1, 10.0, log=True)}
SPACES = {
    "plain": SearchSpace({"optimizer.name": "adam"}, GAMMA),
    "listed": SearchSpace(
        {"optimizer.name": "adam"}, {**GAMMA, "gate.k": CategoricalDistribution([1, 2, 4])}
    ),
    "fixed": SearchSpace({"optimizer.name": "adam", "gate.gamma": 3.0}, {}),
}
SIZES = {"plain": 8, "listed": 8, "fixed": 0}


class Heard:
    """Notes what a sweep tells."""

    def __init__(self) -> None:
        self.started_jobs: list[Job] = []
        self.ends: list[tuple[str, str]] = []

    def started(self, job: Job) -> None:
        self.started_jobs.append(job)

    def progressed(self, job: Job, step: Step) -> None: ...

    def ended(self, job: Job, endings: Sequence[Ending]) -> None: ...

    def gate_ended(self, label: str, reason: str) -> None:
        self.ends.append((label, reason))


def opened(folder: Path, labels: Sequence[str], plan: Plan, heard: Heard) -> Sweep:
    names = [Search(label, repeat).name for repeat in range(plan.repeats) for label in labels]
    spaces = {name: SPACES[Search.of(name).label] for name in names}
    rounds = {name: Rounds(SIZES[Search.of(name).label]) for name in names}
    studies = open_studies(folder / "journal", spaces, rounds, sampler="random", seed=5)
    return Sweep(plan, dict.fromkeys(labels, "softmax"), studies, [heard])


def result(job: Job) -> Step:
    gamma = job.members[0].configuration.gate["gamma"]
    loss = abs(gamma - 2) + job.members[0].configuration.gate.get("k", 0) / 100
    return Step(8, loss, False, [], [Ending("finished", "", 8, loss)] * job.told)


def run(folder: Path, labels: Sequence[str], plan: Plan, stop_every: int = 0) -> Heard:
    """Run a sweep whose jobs end in any order, stopped now and then; return what it told."""
    heard, draws, events = Heard(), random.Random(0), 0
    sweep, running = opened(folder, labels, plan, heard), list[Job]()
    while not sweep.finished:
        while (job := next_job(sweep)) is not None:
            running.append(job)
        if not running:
            break
        ended = running.pop(draws.randrange(len(running)))
        assert sweep.progress(ended, result(ended))
        events += 1
        if stop_every and events % stop_every == 0:
            sweep, running = opened(folder, labels, plan, heard), []
    assert sweep.finished and not sweep.follow_up.without_score()
    return heard


def evaluated(heard: Heard) -> dict[str, Job]:
    return {job.name: job for job in heard.started_jobs if job.stage == "evaluate"}


def test_one_search_has_the_seeds_that_it_had_without_repeats(tmp_path: Path) -> None:
    heard = run(tmp_path, ["plain"], Plan(8, 2, 2, 7, width=2))
    jobs = heard.started_jobs
    assert [job.name for job in jobs[:2]] == ["plain/search/0", "plain/search/1"]
    assert jobs[1].members[0].seed == mixed(7, 0, 1, 0)
    assert [m.seed for m in jobs[-1].members] == [mixed(7, 1, 0), mixed(7, 1, 1)]
    assert (jobs[-1].split_seed, jobs[-1].number) == (None, 0)
    assert heard.ends == [("plain", "")]


def test_every_repeat_has_draws_and_seeds_of_its_own(tmp_path: Path) -> None:
    heard = run(tmp_path, ["plain"], Plan(8, 2, 2, 7, repeats=3, width=2))
    trials = {job.name: job for job in heard.started_jobs if job.stage == "search"}
    assert len(trials) == 24 and "plain/2/search/7" in trials
    gammas = {job.members[0].configuration.gate["gamma"] for job in trials.values()}
    seeds = {job.members[0].seed for job in trials.values()}
    assert len(gammas) == 24 and len(seeds) == 24
    jobs = evaluated(heard)
    assert sorted(jobs) == [f"plain/evaluate/{number}" for number in (0, 2, 4)]
    assert len({member.seed for job in jobs.values() for member in job.members}) == 6
    assert heard.ends == [("plain", "")], "once, after the last"


def test_seeds_beyond_those_that_train_together_are_evaluations_of_their_own(
    tmp_path: Path,
) -> None:
    jobs = evaluated(run(tmp_path, ["plain"], Plan(8, 4, 10, 7, splits=(4, 5), width=4)))
    assert {name: len(job.members) for name, job in jobs.items()} == {
        "plain/evaluate/0": 3,
        "plain/evaluate/3": 3,
        "plain/evaluate/6": 4,
        "plain/evaluate/10": 3,
        "plain/evaluate/13": 3,
        "plain/evaluate/16": 4,
    }
    for split, first in ((4, 0), (5, 10)):
        own = [job for job in jobs.values() if job.split_seed == split]
        seeds = [member.seed for job in own for member in job.members]
        assert seeds == [mixed(7, 1, n) for n in range(10)], first


def test_who_train_together_stay_together_whatever_a_resume_has_room_for(tmp_path: Path) -> None:
    heard = Heard()
    sweep = opened(tmp_path, ["fixed"], Plan(8, 1, 5, 7, width=4), heard)
    keep_widths(sweep.studies, 4)
    assert len(next_job(sweep).members) == 2
    again = opened(tmp_path, ["fixed"], Plan(8, 1, 5, 7, width=32), heard)
    keep_widths(again.studies, 32)
    assert [len(next_job(again).members) for _ in range(2)] == [2, 3]


def test_what_a_repeat_selects_is_the_best_of_its_own_trials(tmp_path: Path) -> None:
    heard = run(tmp_path, ["plain"], Plan(8, 2, 2, 7, repeats=2, width=2))
    for repeat, number in ((0, 0), (1, 2)):
        search = Search("plain", repeat).name
        own = [j for j in heard.started_jobs if j.stage == "search" and j.of_search == search]
        best = min(own, key=lambda job: abs(job.members[0].configuration.gate["gamma"] - 2))
        chosen = evaluated(heard)[f"plain/evaluate/{number}"].members[0].configuration
        assert chosen == best.members[0].configuration


def test_every_split_has_the_same_seeds_and_configuration(tmp_path: Path) -> None:
    heard = run(tmp_path, ["plain"], Plan(8, 3, 3, 7, splits=(4, 5), repeats=2, width=3))
    jobs = evaluated(heard)
    found = {name: (job.split_seed, job.of_search) for name, job in jobs.items()}
    assert found == {
        "plain/evaluate/0": (4, "plain"),
        "plain/evaluate/3": (5, "plain"),
        "plain/evaluate/6": (4, "plain/1"),
        "plain/evaluate/9": (5, "plain/1"),
    }
    assert jobs["plain/evaluate/0"].members == jobs["plain/evaluate/3"].members
    assert jobs["plain/evaluate/0"].members != jobs["plain/evaluate/6"].members


def test_a_list_of_ks_gives_a_row_for_each_that_did_not_win(tmp_path: Path) -> None:
    heard = run(tmp_path, ["listed"], Plan(8, 2, 2, 7, width=2))
    trials = [job for job in heard.started_jobs if job.stage == "search"]
    jobs = {job.label: job for job in evaluated(heard).values()}
    won = jobs["listed"].members[0].configuration.gate["k"]
    assert set(jobs) == {"listed", *(f"listed.k{k}" for k in {1, 2, 4} - {won})}
    for label, job in jobs.items():
        chosen = job.members[0].configuration.gate
        same = [t.members[0].configuration.gate for t in trials]
        best = min(
            (gate for gate in same if gate["k"] == chosen["k"]),
            key=lambda gate: abs(gate["gamma"] - 2),
        )
        assert chosen == best, label
    assert sorted(heard.ends) == sorted((label, "") for label in jobs)


def test_with_repeats_every_k_has_a_row_in_each(tmp_path: Path) -> None:
    heard = run(tmp_path, ["listed"], Plan(8, 2, 2, 7, repeats=2, width=2))
    for row in ("listed", "listed.k1", "listed.k2", "listed.k4"):
        assert {f"{row}/evaluate/0", f"{row}/evaluate/2"} <= set(evaluated(heard)), row


def test_what_has_nothing_to_search_is_evaluated_at_once(tmp_path: Path) -> None:
    heard = run(tmp_path, ["plain", "fixed"], Plan(8, 2, 2, 7, width=2))
    assert heard.started_jobs[0].name == "fixed/evaluate/0"
    assert {job.label for job in heard.started_jobs if job.stage == "search"} == {"plain"}
    assert ("fixed", "") in heard.ends


@pytest.mark.parametrize("stop_every", [1, 3, 7])
def test_stops_change_nothing(stop_every: int, tmp_path: Path) -> None:
    plan = Plan(8, 2, 2, 7, splits=(0, 1), repeats=2, width=2)
    labels = ["plain", "listed", "fixed"]
    folders = [tmp_path / "whole", tmp_path / "stopped"]
    for folder in folders:
        folder.mkdir()
    whole = evaluated(run(folders[0], labels, plan))
    stopped = run(folders[1], labels, plan, stop_every)
    assert evaluated(stopped) == whole
    assert {label for label, _ in stopped.ends} == {job.label for job in whole.values()}


def test_a_split_that_fails_is_repeated_by_a_resume_and_the_others_are_not(tmp_path: Path) -> None:
    plan, heard = Plan(8, 2, 2, 7, splits=(0, 1), width=2), Heard()
    sweep = opened(tmp_path, ["plain"], plan, heard)
    while not sweep.finished:
        job = next_job(sweep)
        assert job is not None
        if job.split_seed == 1:
            sweep.progress(job, Step(0, 0, True, [], [Ending("failed", "no", 0, 0)] * 2))
        else:
            sweep.progress(job, result(job))
    assert heard.ends == [("plain", "")]
    assert (sweep.follow_up.without_score(), sweep.follow_up.in_part()) == ([], ["plain"])
    assert sweep.follow_up.failed == {"plain/evaluate/2": "no"}
    again = opened(tmp_path, ["plain"], plan, heard)
    job = next_job(again)
    assert job is not None and job.name == "plain/evaluate/2"
    again.progress(job, result(job))
    assert again.finished and not again.follow_up.failed and next_job(again) is None


def test_an_evaluation_whose_end_is_told_begins_anew_after_a_kill(tmp_path: Path) -> None:
    """Its runs have their last row, after which they would take no score of what goes on."""

    class Killed(Heard):
        def ended(self, job: Job, endings: Sequence[Ending]) -> None:
            if job.stage == "evaluate":
                raise KeyboardInterrupt

    plan = Plan(8, 2, 2, 7, width=2)
    sweep = opened(tmp_path, ["fixed"], plan, Killed())
    job = next_job(sweep)
    assert job is not None and job.stage == "evaluate"
    sweep.keep_state(job, "a state")
    with pytest.raises(KeyboardInterrupt):
        sweep.progress(job, Step(0, 0, True, [], [Ending("failed", "no", 0, 0)] * 2))
    again = opened(tmp_path, ["fixed"], plan, Heard())
    assert next_job(again) == job and again.saved_state(job) is None


def test_a_search_of_which_no_trial_finishes_leaves_a_gate_in_part(tmp_path: Path) -> None:
    sweep = opened(
        tmp_path, ["plain", "listed"], Plan(8, 2, 2, 7, repeats=2, width=2), heard := Heard()
    )
    while (job := next_job(sweep)) is not None:
        lost = job.of_search == "plain/1"
        failed = Step(0, 0, True, [], [Ending("failed", "no", 0, 0)] * job.told)
        sweep.progress(job, failed if lost else result(job))
    assert ("plain", "") in heard.ends
    assert (sweep.follow_up.without_score(), sweep.follow_up.in_part()) == ([], ["plain"])
    assert sweep.follow_up.failed == {}, "a resume repeats no search"
    again = opened(tmp_path, ["plain", "listed"], Plan(8, 2, 2, 7, repeats=2, width=2), heard)
    assert again.finished and again.follow_up.in_part() == ["plain"]


def test_a_score_of_a_row_is_none_of_its_gate(tmp_path: Path) -> None:
    sweep = opened(tmp_path, ["listed"], Plan(8, 2, 2, 7, width=2), heard := Heard())
    while (job := next_job(sweep)) is not None:
        failed = Step(0, 0, True, [], [Ending("failed", "no rows", 0, 0)] * job.told)
        wins = job.stage == "evaluate" and job.label == "listed"
        sweep.progress(job, failed if wins else result(job))
    assert (sweep.follow_up.without_score(), sweep.follow_up.in_part()) == (["listed"], [])
    assert dict(heard.ends)["listed"] == "evaluation failed: no rows"
    assert sorted(why for _, why in heard.ends) == ["", "", "evaluation failed: no rows"]


def test_a_gate_that_is_done_with_has_its_scores_whichever_version_noted_it(tmp_path: Path) -> None:
    plan, heard = Plan(8, 2, 2, 7, width=2), Heard()
    sweep = opened(tmp_path, ["plain", "fixed"], plan, heard)
    while (job := next_job(sweep)) is not None:
        sweep.progress(job, result(job))
    sweep.studies["plain"].mark(evaluated=[])  # versions that had one evaluation noted none
    again = opened(tmp_path, ["plain", "fixed"], plan, heard)
    assert again.finished and again.follow_up.without_score() == []


def test_a_gate_of_which_every_evaluation_fails_says_why_once(tmp_path: Path) -> None:
    plan, heard = Plan(8, 2, 2, 7, splits=(0, 1), width=2), Heard()
    sweep = opened(tmp_path, ["plain"], plan, heard)
    while (job := next_job(sweep)) is not None:
        failed = [Ending("failed", "no rows", 0, 0)] * 2
        done = result(job) if job.stage == "search" else Step(0, 0, True, [], failed)
        sweep.progress(job, done)
    assert heard.ends == [("plain", "evaluation failed: no rows")]
    assert sweep.finished and sweep.follow_up.without_score() == ["plain"]
