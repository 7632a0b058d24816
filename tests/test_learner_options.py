"""What was selected of a learner, over all searches that were evaluated."""

from __future__ import annotations

import pytest

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.learner_options import learner_options
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Tags


def run(stage: str = "evaluate", objective: float = 1.0, **options: str) -> RunRecord:
    params = {f"learner.{name}": value for name, value in options.items()}
    tags = {"stage": stage, "gate": "a", "end": "finished", "task": "t", "seed": "0"}
    tags[Tags.GIVEN] = "copies"
    metrics = {"test/loss": 1.0, "objective": objective}
    return RunRecord("id", "a", "FINISHED", {"gate.k": "2", **params}, metrics, tags)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([{}], ""),
        ([{"graph": "None"}], ""),
        ([{"graph": "ring"}, {"graph": "ring"}], " (graph ring)"),
        ([{"graph": "ring"}, {"graph": "complete"}], " (graph complete or ring)"),
        ([{"noise": "0.12345"}, {"noise": "1e-3"}, {"noise": "0.05"}], " (noise 0.001 to 0.123)"),
        ([{"steps": "2"}, {"steps": "2.0"}], " (steps 2)"),
        ([{"first_order": "True"}, {"first_order": "False"}], " (first_order false or true)"),
        ([{"graph": "ring", "steps": "3"}], " (graph ring, steps 3)"),
    ],
)
def test_values_of_all_searches(options: list[dict[str, str]], said: str) -> None:
    assert learner_options([run(**own) for own in options]) == said


def test_a_comparison_tells_those_that_were_evaluated() -> None:
    """The gate's run has the best search's alone."""
    runs = (run("gate", graph="ring"), run(graph="ring"), run(graph="complete"))
    (subject,) = compare_runs(SweepRecord("s", runs)).subjects
    assert subject.given == "copies (graph complete or ring)"


def test_of_pooled_sweeps_the_configuration_is_that_of_the_best() -> None:
    def pool(**params: str) -> SweepRecord:
        tags = {"stage": "sweep", "metrics.higher": "f1"}
        sweep = RunRecord("s", "s", "", params, {}, tags)
        return SweepRecord("s", (sweep, run("gate", 0.5, x="1"), run("gate", 0.4, x="2"), run()))

    assert compare_runs(pool()).configurations["a"]["learner.x"] == "2"
    by_f1 = pool(**{"search.objective": "val/mean/f1"})
    assert compare_runs(by_f1).configurations["a"]["learner.x"] == "1"
