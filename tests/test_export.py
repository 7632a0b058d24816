"""Exported models: the same numbers in a process that knows nothing of gatelab."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mlflow.entities.model_registry import ModelVersion

from gatelab.results.comparison.caveats import missing
from gatelab.results.review import read_review
from gatelab.sweeps.cli.commands import Commands
from gatelab.sweeps.export.export import Exported, export
from gatelab.sweeps.export.predictor import columns
from gatelab.sweeps.export.selected import run_of
from gatelab.tasks import DigitsPairs
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests import in_process
from tests.launched import mlflow_at

# MLflow warns of its own type hints when its pyfunc is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")


def evaluated(*runs: tuple[str, float, float]) -> SweepRecord:
    """Return the record of seeds, each with its losses on val and test."""
    tags = {"sweep": "s", "gate": "top_k", "stage": "evaluate", "end": "finished"}
    found = [
        RunRecord(
            seed, seed, "FINISHED", {}, {"val/loss": v, "test/loss": t}, {**tags, "seed": seed}
        )
        for seed, v, t in runs
    ]
    return SweepRecord("s", tuple(found))


def test_the_score_is_of_the_seed_whose_model_was_kept() -> None:
    record = evaluated(("11", 0.5, 0.7), ("22", 0.4, 0.9), ("33", 0.6, 0.8))
    found = [run_of(record, "top_k", seed).metrics["test/loss"] for seed in (11, 22, 33)]
    assert found == [0.7, 0.9, 0.8]
    with pytest.raises(ValueError, match="no score of seed 44"):
        run_of(record, "top_k", 44)


MODULE = '''
import torch
from gatelab.gates import Gate, Routing, register_gate

@register_gate("nearest")
class NearestGate(Gate):
    """A gate of the user's own, a part of which is frozen."""
    def __init__(self, in_features, num_experts):
        super().__init__(in_features, num_experts)
        self.centres = torch.nn.Parameter(torch.randn(num_experts, in_features))
        self.scale = torch.nn.Parameter(1 + torch.rand(num_experts), requires_grad=False)

    def forward(self, x):
        distances = self.scale * (x.unsqueeze(1) - self.centres).square().mean(-1)
        weights = (-distances).softmax(-1)
        return Routing(weights, weights.new_zeros(()))

@register_gate("raising")
class RaisingGate(NearestGate):
    """Cannot work."""
    def forward(self, x):
        raise RuntimeError("no way through")
'''
SPEC = """
name: small
task: {name: digits_pairs, train_rows: 400, val_rows: 200, test_rows: 200}
model: {num_experts: 4, expert_width: 32}
gates: {top_k: , softmax: , nearest: {gate: "mine:nearest"}, raising: {gate: "mine:raising"}}
baselines: false
training: {max_epochs: 4, batch_size: 64}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 3}
"""


@pytest.fixture(scope="module")
def finished(put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished sweep, in whose parent lies the user's module."""
    place = put_store(tmp_path_factory.mktemp("export") / FOLDER).parent
    (place / "mine.py").write_text(MODULE)
    (place / "small.yaml").write_text(SPEC)
    in_process.gatelab(place, "launch", "small.yaml", code=4)  # of one gate every trial fails
    return place / FOLDER


MODELS = [("top_k", False), ("softmax", True), ("nearest", False)]
"""Of gates, each exported densely or not; the last is of the user's own."""
FRESH = """
import sys
sys.modules.update(dict.fromkeys(("gatelab", "mine")))
import json, mlflow, numpy, torch
store, data, *uris = sys.argv[1:]
mlflow.set_tracking_uri(store)
test = numpy.load(data)
digits = torch.from_numpy(test["targets"]).long()

def measure(uri):
    model = mlflow.pytorch.load_model(uri)
    outputs, losses = model(torch.from_numpy(test["inputs"])), []
    for target in mlflow.models.get_model_info(uri).metadata["targets"]:
        assert target["activation"] == "softmax"
        logits = outputs[:, slice(*target["columns"])]
        column = digits[:, ["left", "right"].index(target["target"])]
        losses.append(torch.nn.functional.cross_entropy(logits, column).item())
    served = mlflow.pyfunc.load_model(uri)
    apart = float(abs(served.predict(test["inputs"][:9]) - outputs[:9].numpy()).max())
    return {"loss": sum(losses), "apart": apart}

print(json.dumps([measure(uri) for uri in uris]))
"""


@pytest.fixture(scope="module")
def models(finished: Path) -> dict[str, Exported]:
    """Return the models of `MODELS`, exported with the user's module at hand."""
    with in_process.modules_of(finished.parent):
        return {
            gate: export("small", gate=gate, name=f"fresh-{gate}", dense=dense, folder=finished)
            for gate, dense in MODELS
        }


@pytest.fixture(scope="module")
def fresh(finished: Path, models: dict[str, Exported]) -> dict[str, Mapping[str, float]]:
    """Load them where gatelab cannot be imported and nothing may be unpickled.

    That is one process, which takes longer to import what it needs than to load a model.
    """
    test = DigitsPairs(train_rows=400, val_rows=200, test_rows=200).split("test")
    data = finished.parent / "test.npz"
    np.savez(data, inputs=test.inputs.numpy(), targets=test.targets.numpy())
    uris = [model.uri for model in models.values()]
    result = subprocess.run(
        [sys.executable, "-c", FRESH, default_uri(finished), str(data), *uris],
        cwd=Path(sys.prefix),
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found: list[dict[str, float]] = json.loads(result.stdout.splitlines()[-1])
    return dict(zip(models, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("gate", [gate for gate, _ in MODELS])
def test_a_fresh_process_gets_the_recorded_score(
    gate: str,
    finished: Path,
    models: dict[str, Exported],
    fresh: dict[str, Mapping[str, float]],
) -> None:
    """Also of a gate of the user's own, whose module nobody needs who loads the model."""
    model = models[gate]
    runs = read_sweep(default_uri(finished), "small").of("evaluate", gate)
    (recorded,) = [run for run in runs if run.tags["seed"] == str(model.seed)]
    assert model.test_loss == recorded.metrics["test/loss"]
    assert recorded.metrics["val/loss"] == min(run.metrics["val/loss"] for run in runs)
    assert fresh[gate]["loss"] == pytest.approx(model.test_loss, rel=1e-5)
    assert fresh[gate]["apart"] < 1e-5


def versions(uri: str, name: str) -> list[ModelVersion]:
    found = open_client(uri).search_model_versions(f"name = '{name}'")
    return sorted(found, key=lambda version: int(version.version))


@pytest.mark.slow
def test_versions_rise_and_lead_to_the_gates_run(finished: Path) -> None:
    first, second = (export("small", gate="top_k", folder=finished) for _ in range(2))
    assert (first.name, first.version, second.version) == ("small-top_k", 1, 2)
    assert second.uri == "models:/small-top_k/2"
    uri = default_uri(finished)
    found = versions(uri, "small-top_k")
    assert [int(version.version) for version in found] == [first.version, second.version]
    (run,) = read_sweep(uri, "small").of("gate", "top_k")
    for version in found:
        assert version.run_id == run.run_id
        assert (version.tags["sweep"], version.tags["gate"]) == ("small", "top_k")
        assert version.tags["seed"] == str(first.seed)
        assert float(version.tags["test/loss"]) == first.test_loss
    outputs = open_client(uri).get_run(run.run_id).outputs
    assert outputs is not None
    assert len({model.model_id for model in outputs.model_outputs}) >= 2


@pytest.mark.slow
def test_the_command_takes_the_best_gate(finished: Path) -> None:
    record = read_sweep(default_uri(finished), "small")
    means = {
        gate: np.mean([run.metrics["test/loss"] for run in record.of("evaluate", gate)])
        for gate in ("top_k", "softmax", "nearest")
    }
    best = min(means, key=lambda gate: means[gate])
    arguments = ["--gate", "softmax"] if best == "nearest" else []  # needs the user's module
    result = run(finished, "small", "--name", "chosen", *arguments)
    assert result.exit_code == 0, result.output
    (version,) = versions(default_uri(finished), "chosen")
    assert version.tags["gate"] == ("softmax" if arguments else best)
    assert result.output.startswith(f"chosen, version 1: gate {version.tags['gate']}, seed ")
    told = re.search(r"With MLFLOW_TRACKING_URI=(\S+), .*\.load_model\('(\S+)'\)", result.output)
    assert told and told.groups() == (default_uri(finished), "models:/chosen/1")


@pytest.mark.slow
def test_signature_and_example(finished: Path) -> None:
    model = export("small", gate="top_k", name="signed", folder=finished)
    with mlflow_at(finished):
        served = mlflow.pyfunc.load_model(model.uri)
    (inputs,), (outputs,) = served.metadata.signature.inputs, served.metadata.signature.outputs
    assert (inputs.type, inputs.shape) == (np.dtype("uint8"), (-1, 10, 10))
    assert (outputs.type, outputs.shape) == (np.dtype("float32"), (-1, 20))
    example = served.input_example
    assert (example == DigitsPairs(val_rows=200).split("val").inputs[:5].numpy()).all()
    assert served.predict(example).shape == (5, 20)
    with pytest.raises(mlflow.MlflowException, match="schema"):
        served.predict(example.astype(np.float32))
    assert served.metadata.metadata["experts"] == "selected"
    assert served.metadata.metadata["targets"] == columns(DigitsPairs.targets)


@pytest.mark.slow
def test_a_gate_of_the_users_own_is_exported_where_its_module_is(finished: Path) -> None:
    check_refused(finished, "small", "--gate", "nearest", told="cannot import 'mine'")


def run(folder: Path, *arguments: str) -> Any:
    main = Commands(modules={"export": "gatelab.sweeps.cli.export"})
    return CliRunner().invoke(main, ["export", *arguments, "--folder", str(folder)])


def check_refused(folder: Path, *arguments: str, told: str) -> None:
    """Check that a command ends with 2 and one line, and leaves the store as it was."""
    before = written(folder)
    result = run(folder, *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert result.stderr.startswith("gatelab: ")
    assert told in result.stderr
    assert written(folder) == before


def written(folder: Path) -> tuple[int, int, list[Path]]:
    """Return how many models the store has registered and logged, and all files beside it."""
    client = open_client(default_uri(folder))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    logged = client.search_logged_models(experiments)
    files = sorted(path for path in (folder / "artifacts").rglob("*") if path.is_file())
    return len(client.search_model_versions()), len(logged), files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["smal"], "no sweep 'smal' in"),
        (["smal"], "did you mean 'small'?"),
        (["small", "--gate", "top-k"], "no gate 'top-k' in sweep 'small'; did you mean 'top_k'?"),
        (["small", "--gate", "raising"], "has no model: no trial finished: RuntimeError: no way"),
        (["small", "--gate", "top_k", "--name", "a/b"], "`name` must be letters"),
        (["small", "--gate", "top_k", "--name", ""], "`name` must be letters"),
    ],
)
def test_bad_input(finished: Path, arguments: list[str], told: str) -> None:
    check_refused(finished, *arguments, told=told)


def test_no_store(tmp_path: Path) -> None:
    result = run(tmp_path / "none", "small")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "there is no store" in result.stderr
    assert not (tmp_path / "none").exists()


def gone(content: bytes) -> None:
    return None


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def of_another_shape(content: bytes) -> bytes:
    """Return a model as it would be had its gate, or the task's network, changed since."""
    saved = torch.load(BytesIO(content), weights_only=True)
    name = "mixture.gates.each.logits.kernel"
    saved["state"][name] = saved["state"][name][:, :-1]
    torch.save(saved, changed := BytesIO())
    return changed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (gone, "carries no softmax.pt (any more), in /"),
        (cut_short, "is damaged"),
        (of_another_shape, "mixture.gates.each.logits.kernel was of shape (2, 99, 4) when"),
    ],
)
def test_an_artifact_that_cannot_be_used(
    finished: Path, change: Callable[[bytes], bytes | None], told: str, tmp_path: Path
) -> None:
    (artifact,) = (finished / "artifacts").rglob("softmax.pt")
    kept = artifact.rename(tmp_path / "softmax.pt")
    try:
        if (content := change(kept.read_bytes())) is not None:
            artifact.write_bytes(content)
        check_refused(finished, "small", "--gate", "softmax", told=told)
    finally:
        kept.rename(artifact)


@pytest.mark.slow
def test_a_report_says_that_files_cannot_be_read_from_here(finished: Path, tmp_path: Path) -> None:
    """As on a machine that shares the database, but not the disk of the driver."""
    artifacts = finished / "artifacts"
    kept = artifacts.rename(tmp_path / "artifacts")
    try:
        record = read_review(default_uri(finished), "small").record
        check_refused(finished, "small", "--gate", "softmax", told=f"in {artifacts}/")
    finally:
        kept.rename(artifacts)
    told = f"The files of small cannot be read from here: they lie in {artifacts}/"
    assert [line[: len(told)] for line in missing(record)] == [told]


@pytest.mark.slow
def test_a_sweep_that_is_not_evaluated_yet(tmp_path: Path) -> None:
    store = Store(default_uri(tmp_path), "bare", tmp_path / "artifacts")
    tags = {"sweep": "bare", "task": "digits_pairs"}
    store.start_run("bare", None, "bare", {**tags, "stage": "sweep", "gates": "top_k"}, {}, 0)
    gate = {**tags, "stage": "gate", "gate": "top_k"}
    store.start_run("bare/top_k", "bare", "top_k", gate, {}, 0)
    wait = f"; wait, or `gatelab resume bare --folder {tmp_path}` goes on where it was stopped."
    check_refused(tmp_path, "bare", told=f"no gate of sweep 'bare' has been evaluated{wait}")
    told = f"gate 'top_k' of sweep 'bare' has no model: not evaluated yet{wait}"
    check_refused(tmp_path, "bare", "--gate", "top_k", told=told)
