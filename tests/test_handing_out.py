"""A sweep hands out each job once and takes in each end once, whatever Tune repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from optuna.distributions import FloatDistribution

from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step
from tests.handing import next_job

SPACE = SearchSpace({"optimizer.name": "adam"}, {"gate.gamma": FloatDistribution(0.1, 1.0)})


class Heard:
    """Counts what a listener is told."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()

    def started(self, job: Job) -> None:
        self.events[f"started {job.name}"] += 1

    def progressed(self, job: Job, step: Step) -> None:
        self.events[f"progressed {job.name}"] += 1

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        self.events[f"ended {job.name} {endings[0].end}"] += len(endings)

    def gate_ended(self, label: str, reason: str) -> None:
        self.events[f"gate {label}: {reason}"] += 1


def sweep(folder: Path, heard: Heard, trials: int = 2) -> Sweep:
    labels = ("one", "other")
    spaces = dict.fromkeys(labels, SPACE)
    rounds = dict.fromkeys(labels, Rounds(trials))
    studies = open_studies(folder / "journal", spaces, rounds, sampler="random", seed=0)
    return Sweep(Plan(trials, 3, 3, 0, width=3), dict.fromkeys(labels, "softmax"), studies, [heard])


def ended(job: Job, end: str = "finished", objective: float = 0.5) -> Step:
    ending = Ending(end, "because", 4, objective)
    return Step(4, objective, False, [], [ending] * job.told)


def test_every_job_comes_once_and_evaluations_follow(tmp_path: Path) -> None:
    heard = Heard()
    course = sweep(tmp_path, heard)
    done = []
    while (job := next_job(course)) is not None:
        assert course.progress(job, ended(job))
        done.append(job)
    assert course.finished
    assert Counter(job.stage for job in done) == {"search": 4, "evaluate": 2}
    assert [job.label for job in done[:2]] == ["one", "other"], "gates advance together"
    assert {member.seed for member in done[-1].members} == {
        member.seed for job in done if job.stage == "evaluate" for member in job.members
    }
    assert max(heard.events.values()) == 3, "one for each seed of an evaluation"


def test_no_search_waits_for_another_gates_evaluation(tmp_path: Path) -> None:
    """The rounds of a search follow each other; evaluations fill what these leave."""
    course = sweep(tmp_path, Heard())
    for job in [next_job(course) for _ in range(3)]:
        assert job is not None
        if job.label == "one":
            course.progress(job, ended(job))
    left = [next_job(course), next_job(course)]
    assert [(job.label, job.stage) for job in left if job] == [
        ("other", "search"),
        ("one", "evaluate"),
    ]


def test_what_is_reported_twice_is_taken_in_once(tmp_path: Path) -> None:
    """A worker that is lost after its last step makes Tune do the job again."""
    heard = Heard()
    course = sweep(tmp_path, heard)
    job = next_job(course)
    assert job is not None
    for _ in range(2):
        assert course.progress(job, ended(job))
    course.lose((job,), "its worker was lost")
    assert heard.events[f"ended {job.name} finished"] == 1
    assert course.studies["one"].outcomes.ends() == {"finished": 1}


def test_a_job_that_was_not_begun_is_handed_out_again_first(tmp_path: Path) -> None:
    course = sweep(tmp_path, Heard())
    first, second = next_job(course), next_job(course)
    assert first is not None
    assert second is not None
    for _ in range(2):  # taken back twice, it is there once
        course.take_back((first,))
    assert next_job(course) == first
    for job in (first, second):
        course.progress(job, ended(job))
    course.take_back((first,))  # too late: it has ended
    rest = []
    while (job := next_job(course)) is not None:
        course.progress(job, ended(job))
        rest.append(job.name)
    assert first.name not in rest
    assert course.finished


def test_a_gate_without_a_finished_trial_is_given_up(tmp_path: Path) -> None:
    heard = Heard()
    course = sweep(tmp_path, heard)
    while (job := next_job(course)) is not None:
        if job.label == "one":
            course.lose((job,), "no way")
        else:
            course.progress(job, ended(job))
    assert course.finished
    assert heard.events["gate one: no trial finished: no way"] == 1
    assert heard.events["gate other: "] == 1
