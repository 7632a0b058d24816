"""Predictors: what a registry serves gives a model's own numbers, from selected experts only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Gate, Routing, SoftmaxGate, TopKGate, gates
from gatelab.sweeps.export.export import save_tried
from gatelab.sweeps.export.predictor import Predictor, columns
from gatelab.sweeps.export.selected import Selected
from gatelab.sweeps.export.units import InUnits
from gatelab.tasks import DigitsPairs, SyntheticGroups
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task
from gatelab.tracking.mlflow_model import load_model, save_model
from gatelab.training.model import Model

# MLflow warns of its own type hints when its pyfunc is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")


def made(task: Task, gate: type[Gate], *, num_experts: int = 4, **options: Any) -> Model:
    torch.manual_seed(0)
    return Model(task, gate, options, {"num_experts": num_experts}).eval()


@torch.no_grad()
def expected(model: Model, inputs: Tensor) -> Tensor:
    """Return every target's outputs side by side, as the sweep's own evaluation computes them."""
    return torch.cat(model.split_groups(model(inputs).groups), dim=1)


def through_mlflow(model: Model, inputs: Tensor, folder: Path, *, dense: bool = False) -> nn.Module:
    save_model(Predictor(model, dense=dense), inputs[:3], folder / "model", {})
    return load_model(folder / "model")


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", gates.names())
def test_the_predictor_is_the_model(name: str, dense: bool) -> None:
    task = SyntheticGroups(num_targets=3, train_rows=8, val_rows=64)
    model, inputs = made(task, gates.get(name)), task.split("val").inputs
    outputs = expected(model, inputs)
    close(Predictor(model, dense=dense)(inputs), outputs)


@pytest.mark.slow
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", [name for name in gates.names() if gates.get(name).trained])
def test_every_gate_is_exported_for_batches_of_every_size(
    name: str, dense: bool, tmp_path: Path
) -> None:
    task = SyntheticGroups(num_targets=3, train_rows=8, val_rows=64)
    model, inputs = made(task, gates.get(name)), task.split("val").inputs
    outputs = expected(model, inputs)
    loaded = through_mlflow(model, inputs, tmp_path, dense=dense)
    for rows in (64, 1, 2, 17, 0):
        close(loaded(inputs[:rows]), outputs[:rows])


@pytest.mark.slow
def test_large_experts_and_auxiliary_losses(tmp_path: Path) -> None:
    """Layers that are convolutions on some machines, and a gate with a loss around it."""
    task = DigitsPairs(train_rows=8, val_rows=16)
    torch.manual_seed(0)
    options = {"num_experts": 4, "expert_width": 700}
    model = Model(task, TopKGate, {"k": 1, "balance_weight": 0.1}, options).eval()
    inputs = task.split("val").inputs
    outputs = expected(model, inputs)
    loaded = through_mlflow(model, inputs, tmp_path)
    for rows in (16, 1):
        close(loaded(inputs[:rows]), outputs[:rows])


class Mixed(Task):
    """Targets of every kind, two of them alike but apart, on integer ids."""

    targets = (
        Target("price", "regression"),
        Target("colour", "multiclass", 3),
        Target("sold", "binary"),
        Target("weight", "regression"),
    )

    def split(self, name: SplitName) -> Split:
        inputs = torch.arange(40).reshape(20, 2) % 11
        return Split(inputs, torch.zeros(20, 4))

    def network(self) -> Network:
        return Network(
            bottom=lambda: nn.Sequential(nn.Embedding(11, 4), nn.Flatten()),
            gate_input=nn.Identity,
            gate_features=8,
            expert=lambda: nn.Linear(8, 5),
            tower=lambda target: nn.Linear(5, target.out_features),
        )


@pytest.mark.slow
def test_columns_stand_in_the_targets_order(tmp_path: Path) -> None:
    model, inputs = made(Mixed(), TopKGate), Mixed().split("val").inputs
    with torch.no_grad():
        parts = model.split_groups(model(inputs).groups)
    loaded = through_mlflow(model, inputs, tmp_path)
    outputs = loaded(inputs)
    told = columns(Mixed.targets)
    assert outputs.shape == (20, told[-1]["columns"][1]) == (20, 6)
    for target, part in zip(told, parts, strict=True):
        close(outputs[:, slice(*target["columns"])], part)
    assert [target["activation"] for target in told] == [
        "identity",
        "softmax",
        "sigmoid",
        "identity",
    ]
    signature = mlflow.models.get_model_info(str(tmp_path / "model")).signature
    (spec,) = signature.inputs.inputs
    assert (spec.type, spec.shape) == (np.dtype("int64"), (-1, 2))


class Measured(Mixed):
    """Targets of other units than their splits', beside one without any."""

    targets = (
        Target("price", "regression", scale=5e5, offset=2e9),
        Target("sold", "binary", classes=("no", "yes")),
        Target("place", "regression", width=2, columns=("x", "y"), scale=(0.5, 7), offset=(0, -3)),
        Target("weight", "regression"),
    )


@pytest.mark.slow
def test_values_are_in_the_targets_units(tmp_path: Path) -> None:
    """A price beside 2e9 is told to the last digit that the model has of it."""
    task = Measured()
    model, inputs = made(task, TopKGate), task.split("val").inputs
    save_tried(Selected("top_k", "run", task, [model], 1, 1.0), False, tmp_path / "m", {})
    outputs, loaded = expected(model, inputs).double(), load_model(tmp_path / "m")(inputs)
    scale = torch.tensor([5e5, 1, 0.5, 7, 1], dtype=torch.float64)
    offset = torch.tensor([2e9, 0, 0, -3, 0], dtype=torch.float64)
    close(loaded, outputs * scale + offset)
    close((loaded - offset) / scale, outputs)
    told = mlflow.models.get_model_info(str(tmp_path / "m")).metadata["targets"]
    assert told == columns(task.targets)
    assert [it.get("classes") for it in told] == [None, ["no", "yes"], None, None]
    assert [it.get("names") for it in told] == [None, None, ["x", "y"], None]


def off(self: InUnits, inputs: Tensor) -> Tensor:
    values: Tensor = self.predictor(inputs).double() * self.scale + self.offset * 1.001
    return values


@pytest.mark.slow
def test_an_error_in_units_is_found_as_one_of_deviations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A thousandth of 2e9 is much in deviations of 5e5, and hardly anything in prices."""
    monkeypatch.setattr(InUnits, "forward", off)
    selected = Selected("top_k", "run", task := Measured(), [made(task, TopKGate)], 1, 1.0)
    with pytest.raises(ValueError, match="gives other outputs through torch.export"):
        save_tried(selected, False, tmp_path / "m", {})


class Positive(Gate):
    """Uses expert 0 for rows whose first feature is positive, and none otherwise."""

    def forward(self, x: Tensor) -> Routing:
        weights = torch.zeros(x.shape[0], self.num_experts)
        weights[:, 0] = (x[:, 0] > 0).float()
        return Routing(weights, weights.new_zeros(()))


class Logarithm(nn.Module):
    """Is NaN where the first feature is negative, and always where its scale is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, :1] * self.scale).log()


class Logarithms(SyntheticGroups):
    def network(self, **_: Any) -> Network:
        return Network(
            bottom=nn.Identity,
            gate_input=nn.Identity,
            gate_features=self.in_features,
            expert=Logarithm,
            tower=lambda _: nn.Linear(1, 1),
        )


@pytest.mark.slow
@pytest.mark.parametrize("dense", [False, True])
def test_only_selected_experts_are_computed(dense: bool, tmp_path: Path) -> None:
    """Anything computed beside them would be NaN, and 0 times NaN is NaN."""
    task = Logarithms(num_targets=2, train_rows=8, val_rows=32)
    model, inputs = made(task, Positive), task.split("val").inputs
    model.mixture.experts.tensors()["scale"].data[1:] = torch.nan
    loaded = through_mlflow(model, inputs, tmp_path, dense=dense)
    used = inputs[:, 0] > 0
    assert 0 < used.sum() < len(used)
    assert loaded(inputs).isfinite().all().item() is not dense
    assert loaded(inputs[~used]).isfinite().all().item() is not dense


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("gate", [TopKGate, SoftmaxGate])
def test_nan_stays_nan(gate: type[Gate], dense: bool) -> None:
    """Also where only the experts with a weight above 0 are computed, which NaN is not."""
    inputs = SyntheticGroups().split("val").inputs[:4].clone()
    inputs[1] = torch.nan
    with torch.no_grad():
        outputs = Predictor(made(SyntheticGroups(), gate), dense=dense)(inputs)
    assert outputs[1].isnan().all()
    assert outputs[[0, 2, 3]].isfinite().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["single", "random_k", "bias_balanced_top_k", "top_k"])
def test_only_selected_experts_give_what_all_give(name: str, value: float) -> None:
    """Also where an expert that is not selected would make NaN of an infinite number."""
    task = SyntheticGroups(num_targets=3, in_features=5)
    options = {"expert_width": 2, "num_experts": 4}
    gate = gates.get(name)
    rows = task.split("val").inputs[:3].repeat(5, 1)
    rows[torch.arange(5) * 3, torch.arange(5)] = value
    for seed in range(8):
        torch.manual_seed(seed)
        model = Model(task, gate, {}, options).eval()
        with torch.no_grad():
            found, every = (Predictor(model, dense=dense)(rows) for dense in (False, True))
        torch.testing.assert_close(found, every, equal_nan=True)


class Crowded(nn.Module):
    """Asks how many rows it gets, which a graph for every number of rows cannot answer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.linear(x)
        return outputs if len(x) > 4 else 2 * outputs


class Crowds(SyntheticGroups):
    def network(self, **_: Any) -> Network:
        return replace(super().network(), expert=Crowded, tower=lambda _: nn.Linear(1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dense", "told"), [(False, "(with `dense`, which computes every expert, it may)"), (True, "")]
)
def test_a_model_that_cannot_be_traced(
    dense: bool, told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = Crowds(num_targets=2, train_rows=8, val_rows=20)
    selected = Selected("top_k", "run", task, [made(task, TopKGate)], 1, 1.0)
    with pytest.raises(ValueError, match="'top_k' does not go through torch.export") as caught:
        save_tried(selected, dense, tmp_path / "model", {})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
