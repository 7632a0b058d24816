"""Rounds: the same spec gives the same search, whoever finishes first and wherever it stops."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from gatelab.gates.hardening import HARDENING_TRIAL
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.rounds import Rounds, default_rounds, rounds_of
from gatelab.sweeps.spec.space import SearchSpace, draws_seed, space
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step
from tests.handing import next_job
from tests.in_process import gatelab
from tests.launched import read, studies

GATES = ("one", "two", "three")
SPACE = SearchSpace(
    {"optimizer.name": "adam"},
    {"gate.gamma": FloatDistribution(0.1, 10.0, log=True)},
    {"gate.gamma": 1.0},
)
ROUNDS = Rounds(8, (2, 4), 2)


def opened(folder: Path) -> Sweep:
    spaces, rounds = dict.fromkeys(GATES, SPACE), dict.fromkeys(GATES, ROUNDS)
    found = open_studies(folder / "journal", spaces, rounds, sampler="tpe", seed=0)
    return Sweep(Plan(16, 1, 2, 0), dict.fromkeys(GATES, "softmax"), found)


def result(job: Job) -> Step:
    """Return what a job comes to, which follows from its members alone; some diverge."""
    gamma = job.members[0].configuration.gate["gamma"]
    epoch = job.until or 8
    loss = abs(gamma - 2) + 1 / epoch
    if gamma > 9 and job.stage == "search":
        failed = Ending("failed", "train/loss is nan in epoch 1", 1, float("inf"), True)
        return Step(1, float("inf"), True, [], [failed])
    if job.until:
        return Step(epoch, loss, gamma < 1, [], None)
    ending = Ending("finished", "reached max_epochs (8)", 8, loss, gamma < 1)
    return Step(epoch, loss, gamma < 1, [], [ending] * len(job.members))


def run(folder: Path, slots: int, seed: int, stop_every: int = 0) -> dict[str, list[Any]]:
    """Run a sweep on so many slots, whose jobs end in any order; return what its studies hold."""
    folder.mkdir()
    draws, sweep, events = random.Random(seed), opened(folder), 0
    running: list[Job] = []
    while not sweep.finished:
        while len(running) < slots and (job := next_job(sweep)) is not None:
            running.append(job)
        ended = running.pop(draws.randrange(len(running)))
        assert sweep.progress(ended, result(ended))
        events += 1
        if stop_every and events % stop_every == 0:
            sweep, running = opened(folder), []
    return {label: list(map(_told, s.study.get_trials())) for label, s in sweep.studies.items()}


def _told(trial: FrozenTrial) -> tuple[Any, ...]:
    noted = {name: value for name, value in trial.user_attrs.items() if name != "state"}
    if "spent" in noted:
        noted["spent"] = noted["spent"][0]  # epochs, without seconds
    return trial.number, trial.params, trial.state, trial.intermediate_values, noted


@pytest.mark.parametrize(
    ("slots", "seed", "stop_every"), [(4, 1, 0), (16, 2, 0), (1, 0, 7), (4, 3, 5), (16, 4, 11)]
)
def test_order_and_stops_change_nothing(
    slots: int, seed: int, stop_every: int, tmp_path: Path
) -> None:
    alone = run(tmp_path / "alone", 1, 0)
    assert run(tmp_path / "other", slots, seed, stop_every) == alone
    ends = [trial[4]["end"] for trial in alone["one"]]
    assert len(ends) == 16 and {"finished", "pruned", "failed"} == set(ends)


@pytest.mark.parametrize("seed", range(20))
def test_a_trial_that_fails_at_any_time_keeps_nobody_waiting(seed: int, tmp_path: Path) -> None:
    """What was decided before it failed stays: who was pruned for it does not come back."""
    draws = random.Random(seed)
    rounds = {"one": Rounds(4, (1, 2), 2)}
    studies = open_studies(tmp_path / "j", {"one": SPACE}, rounds, sampler="random", seed=seed)
    sweep = Sweep(Plan(4, 1, 1, 0), {"one": "softmax"}, studies)
    while (job := next_job(sweep)) is not None:
        loss, end = draws.random(), "failed" if draws.random() < 0.4 else "finished"
        endings = [Ending(end, "drawn", job.until or 3, loss)] * job.told
        waits = job.until is not None and end == "finished"
        sweep.progress(job, Step(job.until or 3, loss, False, [], None if waits else endings))
    assert sweep.finished


def test_a_rung_that_is_reached_twice_is_taken_in_once(tmp_path: Path) -> None:
    """Tune does a job again whose worker was lost after its last step; the trial may be further."""
    rounds = {"one": Rounds(1, (2, 4), 2)}
    studies = open_studies(tmp_path / "j", {"one": SPACE}, rounds, sampler="tpe", seed=0)
    sweep = Sweep(Plan(1, 1, 1, 0), {"one": "softmax"}, studies)
    first = next_job(sweep)
    assert first is not None and first.until == 2
    assert sweep.progress(first, result(first))
    second = next_job(sweep)
    assert second is not None and second.until == 4
    assert sweep.progress(first, result(first)), "it is over, whatever it says"
    assert second.name in sweep.running
    assert not sweep.progress(second, Step(3, 0.5, False, [], None))
    assert list(studies["one"].standings[0].ranks) == [2]


def test_a_stop_between_the_last_arrival_and_the_pruning_is_made_up_for(tmp_path: Path) -> None:
    """No other event would: the trial that goes on has ended already, for its patience ran out."""

    def opened() -> Sweep:
        rounds = {"one": Rounds(2, (4,), 2)}
        found = open_studies(tmp_path / "j", {"one": SPACE}, rounds, sampler="tpe", seed=0)
        return Sweep(Plan(2, 1, 1, 0), {"one": "softmax"}, found)

    sweep = opened()
    first, second = next_job(sweep), next_job(sweep)
    assert first is not None and second is not None
    ending = Ending("finished", "nothing better for 1 epochs", 2, 0.1)
    sweep.progress(first, Step(2, 0.1, False, [], [ending]))
    sweep.studies["one"].arrive(second.number, Step(4, 0.5, False, [], None))
    again = opened()
    job = next_job(again)
    assert job is not None and job.stage == "evaluate"
    assert again.studies["one"].outcomes.ends() == {"finished": 1, "pruned": 1}


def test_gates_fill_the_slots_while_one_waits_for_its_last_trial(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    jobs = [next_job(sweep) for _ in range(24)]
    assert None not in jobs, "the first round of all gates"
    assert next_job(sweep) is None
    for job in jobs[:-1]:
        assert job is not None
        sweep.progress(job, result(job))
    last = jobs[-1]
    assert last is not None
    going = []
    while (job := next_job(sweep)) is not None:
        going.append(job)
    assert {job.label for job in going} == set(GATES) - {last.label}
    assert {job.until for job in going} == {4}


@pytest.mark.parametrize(
    ("trials", "rounds"), [(1, 1), (6, 1), (10, 1), (12, 2), (13, 1), (20, 2), (24, 4), (60, 4)]
)
def test_rounds_by_default(trials: int, rounds: int) -> None:
    assert default_rounds(trials) == rounds


SPEC = """
name: halved
task: {name: synthetic_groups, num_targets: 4, train_rows: 128, val_rows: 64, test_rows: 64}
model: {num_experts: 4}
gates: GATES
baselines: false
optimizer: {learning_rate: {low: 1e-3, high: 1e-2, log: true}}
training: {max_epochs: 8, batch_size: 64}
search: {trials: 8, rounds: 2, sampler: tpe}
evaluation: {seeds: 2}
"""


def cut(folder: Path, text: str) -> Mapping[str, Rounds]:
    (folder / "spec.yaml").write_text(text)
    spec = load_spec(folder / "spec.yaml")
    task = make_task(spec)
    return rounds_of(spec, {label: space(spec, label, task) for label in spec.gates})


def test_rungs_begin_at_the_grace_and_lie_before_the_last_epoch(tmp_path: Path) -> None:
    text = SPEC.replace("GATES", "[softmax]")
    assert cut(tmp_path, text)["softmax"] == Rounds(4, (2, 4), 2), "a quarter of 8 epochs"
    for stopping, rungs in (
        ("{grace_epochs: 3}", (3, 6)),
        ("{grace_epochs: 1, reduction_factor: 3}", (1, 3)),
        ("{grace_epochs: 8}", ()),
        ("false", ()),
    ):
        changed = text.replace("sampler: tpe", f"early_stopping: {stopping}")
        assert cut(tmp_path, changed)["softmax"].rungs == rungs, stopping


def test_a_gate_that_has_nothing_to_search_takes_no_rungs_from_others(tmp_path: Path) -> None:
    found = cut(tmp_path, SPEC.replace("GATES", "[softmax, constant]"))
    assert found["softmax"] == Rounds(4, (2, 4), 2) and found["constant"].size == 0


def test_rungs_wait_for_the_latest_schedule_of_all_gates(tmp_path: Path) -> None:
    """Half of 8 epochs: the fifth is the first that begins after it."""
    comet = "comet: {local_search: true, search_share: 0.5}"
    found = cut(
        tmp_path, SPEC.replace("GATES", f"{{softmax: {{}}, {comet}, gumbel_softmax: {{}}}}")
    )
    assert found["softmax"].rungs == found["comet"].rungs == (5,)
    assert found["gumbel_softmax"].rungs == (), "its schedule lasts to the end"


def test_a_search_begins_with_what_the_gate_says_and_the_defaults(tmp_path: Path) -> None:
    for hyperparameters in ("", "k: 3"):
        (tmp_path / "spec.yaml").write_text(
            SPEC.replace("GATES", f"{{dselect_k: {{{hyperparameters}}}}}")
        )
        spec = load_spec(tmp_path / "spec.yaml")
        found = space(spec, "dselect_k", make_task(spec))
        assert found.defaults == {
            "optimizer.learning_rate": 1e-3,
            **{f"gate.{name}": value for name, value in HARDENING_TRIAL.items()},
        }
        assert found.fixed["gate.k"] == (3 if hyperparameters else 2), "it is recorded"


def test_what_a_gate_fixes_shifts_no_draw_of_others(tmp_path: Path) -> None:
    """`independent` has an expert a target, whatever numbers the others search."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("GATES", "[softmax, independent]"))
    overrides = ["model.num_experts=[4, 8]", "model.expert_width=[8, 16]"]
    spec = load_spec(tmp_path / "spec.yaml", overrides=overrides)
    softmax, independent = (space(spec, name, make_task(spec)) for name in spec.gates)
    assert softmax.places == softmax.distributions == independent.places
    assert {*softmax.distributions} - {*independent.distributions} == {"model.num_experts"}
    spaces = {"one": softmax, "two": independent}
    rounds = dict.fromkeys(spaces, ROUNDS)
    opened = open_studies(tmp_path / "journal", spaces, rounds, sampler="tpe", seed=0)
    found = [study.draws.draw(1, 6, ()) for study in opened.values()]
    assert found[1] == [{name: it[name] for name in independent.distributions} for it in found[0]]


def test_other_tasks_have_other_draws(tmp_path: Path) -> None:
    seeds = set()
    text = SPEC.replace("GATES", "[softmax]")
    for changed in (text, text.replace("num_targets: 4", "num_targets: 8")):
        (tmp_path / "spec.yaml").write_text(changed)
        seeds.add(draws_seed(load_spec(tmp_path / "spec.yaml")))
    assert len(seeds) == 2


@pytest.mark.slow
def test_a_sweep_that_is_stopped_again_and_again_has_the_table_of_one_that_is_not(
    place: Path,
) -> None:
    (place / "spec.yaml").write_text(SPEC.replace("GATES", "[dselect_k, softmax]"))
    gatelab(place, "launch", "spec.yaml", "--name", "whole")
    gatelab(place, "launch", "spec.yaml", "--name", "cut", code=130, most=3)
    gatelab(place, "resume", "cut", code=130, most=7)
    gatelab(place, "resume", "cut")
    for label, study in studies(place, "whole").items():
        there = studies(place, "cut")[label]
        assert list(map(_told, study.trials)) == list(map(_told, there.trials))
    tables = []
    for name in ("whole", "cut"):
        runs = read(place, name).of("evaluate")
        scores = [(r.tags["gate"], r.tags["seed"], r.metrics["test/loss"]) for r in runs]
        tables.append(sorted(scores))
    assert tables[0] == tables[1]
    home = place / "gatelab_runs" / "sweeps" / "cut"
    assert not (home / "waiting").exists()


@pytest.mark.slow
def test_what_waits_goes_on_where_the_whole_folder_was_moved(place: Path) -> None:
    (place / "spec.yaml").write_text(SPEC.replace("GATES", "[softmax]"))
    gatelab(place, "launch", "spec.yaml", code=130, most=1)
    assert list(place.glob("gatelab_runs/sweeps/halved/waiting/*")), "so many wait at a rung"
    moved = place.rename(place.parent / "moved")
    assert "anew" not in gatelab(moved, "resume", "halved")
    assert not list(moved.glob("gatelab_runs/sweeps/halved/waiting/*")), "nor is any left behind"
