"""A gate whose evaluation gives no score has failed: said, recorded, and repeated by a resume."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gatelab.sweeps.driver.processes import status
from gatelab.sweeps.home.home import Home
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.sqlite import default_uri
from tests import in_process
from tests.launched import read

pytestmark = pytest.mark.slow
SPEC = """
name: c
task: {name: 'mine:changing', num_targets: 2, train_rows: 96, val_rows: 48, test_rows: 48}
model: {num_experts: 3}
gates: [softmax, 'mine:late']
baselines: false
training: {max_epochs: 2}
search: {trials: 2, seeds: 2, early_stopping: false}
evaluation: {seeds: 2}
resources: {members: 2}
"""
MODULE = '''
from pathlib import Path
import torch
from gatelab.gates import SoftmaxGate, register_gate
from gatelab.tasks import Split, SyntheticGroups, register_task

HERE = Path(__file__).parent

@register_task("changing")
class Changing(SyntheticGroups):
    """A task whose test split may be spoilt by a file."""
    def split(self, name):
        inputs, targets, mask, *_ = super().split(name)
        how = HERE / "spoilt"
        if name == "test" and how.exists():
            how = how.read_text()
            if how == "missing":
                raise FileNotFoundError("no test.csv")
            if how == "nan":
                inputs = inputs * torch.nan
            if how == "empty":
                return Split(inputs[:0], targets[:0])
        return Split(inputs, targets, mask)

@register_gate("late")
class Late(SoftmaxGate):
    """Fails where a file says so."""
    def forward(self, x):
        if (HERE / "fails").exists():
            raise RuntimeError("too late")
        return super().forward(x)
'''

WORSENS = "CALLS.append(x); return weighed(super().forward(x)); RuntimeError"
"""Instead of an error: the val loss rises with every epoch, and patience ends the training."""
WEIGHED = """
CALLS = []

def weighed(routing):
    return routing._replace(weights=routing.weights * 1.5 ** len(CALLS))
"""


@pytest.fixture
def folder(place: Path) -> Path:
    (place / "mine.py").write_text(MODULE)
    (place / "c.yaml").write_text(SPEC)
    return place


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "FileNotFoundError: no test.csv"),
        ("nan", "test/loss is nan"),
        ("empty", "the test split has no rows"),
    ],
)
def test_a_test_split_that_is_spoilt_after_the_launch(folder: Path, how: str, reason: str) -> None:
    """Every gate fails, one line each; mended, the evaluations are all that is repeated."""
    in_process.gatelab(folder, "launch", "c.yaml", code=130, most=3)
    (folder / "spoilt").write_text(how)
    output = in_process.gatelab(folder, "resume", "c", code=4)
    for gate in ("softmax", "late"):
        assert f"{gate}: failed: evaluation failed: {reason}" in output
        assert f"{gate} has no score: evaluation failed: {reason}" in output
    assert output.endswith(
        "gatelab: no score: softmax, late; `gatelab resume c` repeats evaluations that failed.\n"
    )
    record = read(folder, "c")
    assert {run.status for run in (*record.of("gate"), *record.of("evaluate"))} == {"FAILED"}
    assert [run.status for run in record.of("sweep")] == ["FAILED"]
    assert status(Home(folder / "gatelab_runs", "c")) == "incomplete"
    assert "`gatelab resume c` repeats" in in_process.gatelab(folder, "status")
    (folder / "spoilt").unlink()
    output = in_process.gatelab(folder, "resume", "c")
    assert ": trial" not in output and "level with the lowest test loss" in output
    record = read(folder, "c")
    assert {run.status for run in record.runs} == {"FINISHED"}
    assert len(record.of("search")) == len(record.of("evaluate")) == 4
    assert status(Home(folder / "gatelab_runs", "c")) == "finished"


def test_one_gate_without_a_score_and_its_traceback(folder: Path) -> None:
    in_process.gatelab(folder, "launch", "c.yaml", code=130, most=5)  # softmax has its score
    (folder / "fails").touch()
    output = in_process.gatelab(folder, "resume", "c", code=4)
    traces = folder / "gatelab_runs/sweeps/c/tracebacks"
    assert "late has no score: evaluation failed: RuntimeError: too late" in output
    assert f"Tracebacks of what an error ended: {traces.relative_to(folder)}" in output
    assert "gatelab: no score: late; `gatelab resume c` repeats" in output
    kept = sorted(traces.rglob("*.txt"))
    assert len(kept) == 2, "one for every seed's run"
    for trace in (*kept, *(folder / "gatelab_runs/artifacts").rglob("traceback.txt")):
        text = trace.read_text()
        assert text.startswith("Traceback") and 'raise RuntimeError("too late")' in text
    record = read(folder, "c")
    found = {run.gate: run.status for run in record.of("gate")}
    assert found == {"softmax": "FINISHED", "late": "FAILED"}
    (folder / "fails").unlink()
    output = in_process.gatelab(folder, "resume", "c")
    assert "Tracebacks" not in output and not traces.exists(), "of what has a score there is none"


def test_a_repeated_evaluation_is_recorded_without_what_failed(folder: Path) -> None:
    """Also where it ends sooner: its epochs alone stand in the record, and its scores."""
    (folder / "mine.py").write_text(MODULE.replace("raise RuntimeError", WORSENS) + WEIGHED)
    (folder / "c.yaml").write_text(SPEC.replace("max_epochs: 2", "max_epochs: 6, patience: 2"))
    in_process.gatelab(folder, "launch", "c.yaml", code=130, most=5)  # softmax has its score
    (folder / "spoilt").write_text("nan")
    in_process.gatelab(folder, "resume", "c", code=4)
    (folder / "spoilt").unlink()
    (folder / "fails").touch()
    uri = default_uri(folder / "gatelab_runs")
    failed = [run for run in read(folder, "c").of("evaluate") if run.gate == "late"]
    assert {len(history(uri, run.run_id, "val/loss")) for run in failed} == {6}
    in_process.gatelab(folder, "resume", "c")
    again = [run for run in read(folder, "c").of("evaluate") if run.gate == "late"]
    kept = json.loads((folder / "gatelab_runs/sweeps/c/files/late/evaluation-0.json").read_text())
    for run, (_, metrics, *_) in zip(again, kept, strict=True):
        assert {key: run.metrics[key] for key in metrics} == pytest.approx(metrics, nan_ok=True)
        steps, losses = zip(*history(uri, run.run_id, "val/loss"), strict=True)
        assert steps == tuple(range(1, len(steps) + 1)) and len(steps) < 6
        assert losses[-1] == run.metrics["val/loss"] and losses[0] < losses[-2]
    assert not {run.run_id for run in failed} & {run.run_id for run in again}


@pytest.mark.parametrize("split", [0, 1])
def test_a_split_without_a_score_is_repeated(folder: Path, split: int) -> None:
    """One of two is spoilt after the launch; a resume repeats that one alone."""
    (folder / "mine.py").write_text(
        MODULE.replace("how.exists():", f"how.exists() and self.split_seed == {split}:")
    )
    (folder / "c.yaml").write_text(SPEC.replace("seeds: 2}", "seeds: 2, splits: 2}"))
    in_process.gatelab(folder, "launch", "c.yaml", code=130, most=3)
    (folder / "spoilt").write_text("missing")
    output = in_process.gatelab(folder, "resume", "c", code=4)
    assert "softmax is scored on the 2 of 4 seeds that did not fail (FileNotFoundError" in output
    assert output.endswith(
        "gatelab: some evaluations have no score; `gatelab resume c` repeats evaluations that "
        "failed.\n"
    )
    (sweep,) = read(folder, "c").of("sweep")
    assert sweep.tags["end.reason"] == "a score in part: softmax, late"
    (folder / "spoilt").unlink()
    output = in_process.gatelab(folder, "resume", "c")
    assert output.count(f"evaluating 2 seeds on split {split}") == 2
    assert f"on split {1 - split}" not in output
    record = read(folder, "c")
    assert {run.status for run in record.runs} == {"FINISHED"}
    assert len(record.of("evaluate")) == 2 * 2 * 2
    _check_points(folder, record)


def _check_points(folder: Path, record: SweepRecord) -> None:
    """Each seed has a point of its own with its gate's run; the means follow, the last of all."""
    uri, key = default_uri(folder / "gatelab_runs"), "test/loss"
    for gate in record.of("gate"):
        seeds = [run.metrics[key] for run in record.of("evaluate") if run.gate == gate.gate]
        steps, values = zip(*history(uri, gate.run_id, key), strict=True)
        assert sorted(values[:4]) == pytest.approx(sorted(seeds)) and len({*steps}) == len(steps)
        assert values[-1] == gate.metrics[key] == pytest.approx(sum(seeds) / 4)
        assert len(values) == 4 + 2, "and the mean of before the resume"


def test_a_seed_that_failed_makes_its_split_weigh_no_less(folder: Path) -> None:
    """With the gate's run as in the comparison: the mean of the splits' means."""
    (folder / "c.yaml").write_text(SPEC.replace("seeds: 2}", "seeds: 2, splits: 2}"))
    in_process.gatelab(folder, "launch", "c.yaml", code=130, most=5)
    first, second = (
        folder / f"gatelab_runs/sweeps/c/files/softmax/evaluation-{number}.json"
        for number in (0, 2)
    )
    assert first.exists() and not second.exists(), "softmax has its score on one split"
    first.write_text(json.dumps(json.loads(first.read_text())[:1]))
    in_process.gatelab(folder, "resume", "c")
    losses = [
        [metrics["test/loss"] for _, metrics, *_ in json.loads(path.read_text())]
        for path in (first, second)
    ]
    assert [len(seeds) for seeds in losses] == [1, 2]
    wanted = (losses[0][0] + sum(losses[1]) / 2) / 2
    (gate,) = (run for run in read(folder, "c").of("gate") if run.gate == "softmax")
    assert gate.metrics["test/loss"] == pytest.approx(wanted, abs=1e-12)


def test_a_search_of_which_no_trial_finishes(folder: Path) -> None:
    """Of two of a gate: the other's scores are not taken for all, nor its configuration."""
    (folder / "c.yaml").write_text(SPEC.replace("{trials: 2", "{repeats: 2, trials: 1"))
    (folder / "fails").touch()
    in_process.gatelab(folder, "launch", "c.yaml", code=130, most=3)  # softmax has a score
    (folder / "fails").unlink()
    output = in_process.gatelab(folder, "resume", "c", code=4)
    said = "late has no score after 1 of its 2 searches: no trial of it finished."
    assert said in output and "softmax has no score" not in output
    assert output.endswith("gatelab: no score after one of its searches: late.\n")
    record = read(folder, "c")
    (sweep,) = record.of("sweep")
    assert (sweep.end, sweep.end_reason) == ("failed", "a score in part: late")
    assert "softmax 2/2, evaluated; late 2/2, evaluated in part" in in_process.gatelab(
        folder, "status"
    )
    selected = folder / "gatelab_runs/sweeps/c/report/tables/selected.csv"
    rows = pd.read_csv(selected).groupby("gate")["repeat"].unique()
    assert {gate: sorted(of) for gate, of in rows.items()} == {"softmax": [0, 1], "late": [1]}


def test_a_gate_that_cannot_be_trained_is_not_said_to_be_evaluated(folder: Path) -> None:
    (folder / "fails").touch()
    in_process.gatelab(folder, "launch", "c.yaml", code=4)
    said = in_process.gatelab(folder, "status")
    assert "finished" in said and said.endswith("softmax 2/2, evaluated; late 2/2, no score\n")


@pytest.mark.parametrize("how", ["missing", "nan", "empty"])
def test_a_spoilt_test_split_is_found_before_the_first_trial(folder: Path, how: str) -> None:
    (folder / "spoilt").write_text(how)
    for command in ("validate", "launch"):
        output = in_process.gatelab(folder, command, "c.yaml", code=2)
        assert output.startswith("gatelab: c.yaml: task: 'mine:changing': ")
        assert "test" in output and output.count("\n") == 1
    assert not (folder / "gatelab_runs/sweeps").exists()


@pytest.mark.parametrize(
    "gates", ["['mine:late']", "{one: {gate: 'mine:late'}, other: {gate: 'mine:late'}}"]
)
def test_a_gate_that_raises_alone_is_at_fault_where_ours_trains(folder: Path, gates: str) -> None:
    """Twice it is alone, too; a rule of its author's is told with its place, as any error."""
    (folder / "fails").touch()
    text = (folder / "mine.py").read_text()
    (folder / "mine.py").write_text(text.replace("RuntimeError(", "ValueError("))
    (folder / "c.yaml").write_text(SPEC.replace("[softmax, 'mine:late']", gates))
    output = in_process.gatelab(folder, "validate", "c.yaml", code=2)
    labels = ["one", "other"] if "one" in gates else ["late"]
    where = f"({folder / 'mine.py'}, line 30)"
    said = (f"gatelab: c.yaml: gates.{it}: cannot be trained: too late {where}" for it in labels)
    assert output.splitlines() == [*said]


def test_gates_that_raise_are_found_before_the_first_trial(folder: Path) -> None:
    """One is named, with its line, while the others go on; where all raise nothing is started.

    That baselines can be trained, or a gate of ours, tells that it is the gate and not the task.
    """
    (folder / "fails").touch()
    where = f"({folder / 'mine.py'}, line 30)"
    line = f"late: its trials will fail: RuntimeError: too late {where}\n"
    assert line in in_process.gatelab(folder, "validate", "c.yaml")
    for text in (SPEC, SPEC.replace("baselines: false\n", "")):
        (folder / "c.yaml").write_text(text.replace("softmax, ", ""))
        output = in_process.gatelab(folder, "launch", "c.yaml", code=2)
        said = f"gates.late: cannot be trained: RuntimeError: too late {where}"
        assert output == f"gatelab: c.yaml: {said}\n"
