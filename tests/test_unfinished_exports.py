"""A model of a sweep that has not come to its end: which one it is, and that others may come."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatelab.sweeps.cli import main
from gatelab.sweeps.export.export import export
from gatelab.sweeps.export.predict import predict
from gatelab.tracking.schema import FOLDER
from tests import in_process
from tests.test_table_task import people

pytestmark = [
    pytest.mark.slow,
    # MLflow warns of its own type hints when its pyfunc is first imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]
SPEC = """
name: half
task: {name: table, path: people.csv, targets: {income: binary, weeks: regression}}
model: {num_experts: 2, expert_width: 8}
gates: {softmax: , top_k: , constant: }
baselines: false
optimizer: {learning_rate: 0.01}
training: {max_epochs: 20, batch_size: 16}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""
PARTIAL = (
    "PARTIAL: half is still running, or was stopped: 2 of 2 trials have ended, "
    "2 of 3 gates are evaluated."
)


@pytest.fixture
def stopped(
    put_store: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], None]:
    """Return what launches a sweep in this folder, and stops it after so many jobs."""
    put_store(tmp_path / FOLDER)
    people(120).to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "half.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)

    def stop(jobs: int) -> None:
        in_process.gatelab(tmp_path, "launch", "half.yaml", most=jobs, code=130)

    return stop


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_the_best_so_far_is_said_to_be_so(stopped: Callable[[int], None]) -> None:
    stopped(4)  # `constant`, both trials, and the seeds of `softmax`; those of `top_k` are to come
    for words in (["export", "half"], ["predict", "half", "people.csv"]):
        done = run(*words)
        assert (done.exit_code, done.stderr) == (0, f"{PARTIAL}\n"), done.output
        more = ["--output", "again.csv"] if words[0] == "predict" else []
        assert json.loads(run(*words, *more, "--json").stdout)["partial"] == PARTIAL
        asked = run(*words, *more[:1], *(["asked.csv"] if more else []), "--gate", "softmax")
        assert (asked.exit_code, asked.stderr) == (0, ""), asked.output
    assert predict("half", "people.csv", output="python.csv").partial == PARTIAL
    assert export("half").partial == PARTIAL
    assert export("half", gate="softmax").partial == ""
    refused = run("export", "half", "--gate", "constant")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "gatelab: gate 'constant' of sweep 'half' has no model: it is not trained. "
        "Name another one by `--gate`: softmax.\n",
    )


def test_where_no_gate_has_a_model_it_is_said_what_to_do(stopped: Callable[[int], None]) -> None:
    stopped(1)
    for words in (["export", "half"], ["predict", "half", "people.csv"]):
        refused = run(*words, "--folder", str(Path(FOLDER).absolute()))
        assert (refused.exit_code, refused.stderr) == (
            2,
            "gatelab: gate 'constant' of sweep 'half' has no model: it is not trained. No other "
            "gate has one; wait, or `gatelab resume half --folder "
            f"{Path(FOLDER).absolute()}` goes on where it was stopped.\n",
        )
