"""Polyhedra with planted faces, and the hook by which gates read what experts say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from gatelab import Network
from gatelab.gates import SoftmaxGate, TopKGate
from gatelab.sweeps.export.predictor import Predictor
from gatelab.tasks import Polyhedral
from gatelab.tasks.check import run_checks
from gatelab.tasks.polyhedral import normal_cosines
from gatelab.training.model import Model
from tests.commands import ROOT
from tests.in_process import gatelab


def test_the_task_passes_its_checks() -> None:
    assert [it for it in run_checks(Polyhedral) if not it.ok] == []


def test_a_regular_polygon_has_its_area() -> None:
    """Of a pentagon whose faces are 0.6 from the middle 5 * 0.36 * tan(36 degrees), of 4."""
    task = Polyhedral(faces=5, train_rows=40_000)
    points, inside = task.split("train")[:2]
    share = 5 * 0.36 * math.tan(math.pi / 5) / 4
    assert float(inside.mean()) == pytest.approx(share, abs=0.01)
    distance = (points[:, 0] ** 2 + points[:, 1] ** 2).sqrt()
    assert inside[distance < 0.599].all()
    assert not inside[distance > 0.6 / math.cos(math.pi / 5) + 1e-3].any()


@pytest.mark.parametrize(("faces", "in_features"), [(1, 1), (2, 2), (3, 10), (10, 10)])
def test_few_faces_are_orthogonal(faces: int, in_features: int) -> None:
    normals = Polyhedral(faces=faces, in_features=in_features).polyhedron.normals
    np.testing.assert_allclose(normals @ normals.T, np.eye(faces), atol=1e-12)


def test_many_faces_in_space_have_length_1() -> None:
    normals = Polyhedral(faces=7, in_features=3).polyhedron.normals
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_a_split_seed_moves_points_and_no_face() -> None:
    one, other = Polyhedral(split_seed=1), Polyhedral(split_seed=2)
    np.testing.assert_array_equal(one.polyhedron.normals, other.polyhedron.normals)
    assert not torch.equal(one.split("val").inputs, other.split("val").inputs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"faces": 0}, "`faces >= 1` must hold"),
        ({"in_features": 0}, "`in_features >= 1` must hold"),
        ({"distance": 0}, "`0 < distance < inf` must hold, but got (distance=0)."),
        ({"seed": -1}, "`seed >= 0` must hold"),
        ({"test_rows": 0}, "`test_rows >= 1` must hold"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        Polyhedral(**options)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_normals_are_matched_whatever_their_order_and_length() -> None:
    planted = np.array([[1.0, 0], [0, 1], [-1, 0]])
    found = np.array([[0, 5.0], [-3, 0], [3, 4]])
    np.testing.assert_allclose(normal_cosines(found, planted), [0.6, 1, 1])
    few = normal_cosines(found[:1], planted)
    np.testing.assert_allclose(few, [np.nan, 1, np.nan])


X = torch.tensor([[0.5, -0.25], [-1, 0.75], [0.1, 0.2]])


def test_the_gate_reads_what_the_experts_say() -> None:
    """With a softmax gate of -10 times each expert's number the least one decides."""
    task = Polyhedral(faces=3)
    model = Model(task, SoftmaxGate, {}, {"num_experts": 3})
    assert model.mixture.gates.each.in_features == 3
    experts = model.mixture.experts.tensors()
    faces = (X @ experts["weight"][:, 0].mT + experts["bias"].mT).detach()
    gate = model.mixture.gates.tensors()
    for tensor in gate.values():
        tensor.data.zero_()
    (kernel,) = [it for it in gate.values() if it.dim() >= 3]
    kernel.data.copy_((-10 * torch.eye(3)).expand_as(kernel))
    output = model(X)
    weights = (-10 * faces).softmax(1)
    torch.testing.assert_close(output.routing.weights[0], weights)
    torch.testing.assert_close(output.groups[0][0, :, 0], (weights * faces).sum(1))


class Wide(Polyhedral):
    """Experts of three numbers, of which gates read two each."""

    def network(self) -> Network:
        return Network(
            bottom=nn.Identity,
            gate_input=lambda: nn.Linear(3, 2),
            gate_features=2,
            gate_reads_experts=True,
            expert=lambda: nn.Linear(2, 3),
            tower=lambda target: nn.Linear(3, 1),
            other_experts=(lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh()),),
        )


def test_what_is_read_stands_expert_by_expert() -> None:
    torch.manual_seed(0)
    model = Model(Wide(), SoftmaxGate, {}, {"num_experts": 4})
    outputs = model.mixture.experts(X)
    expected = torch.cat([model.gate_input(it) for it in outputs], 1)
    torch.testing.assert_close(model.of_experts(outputs), expected)
    routing = model.mixture.gates(expected)
    torch.testing.assert_close(model(X).routing.weights, routing.weights)


@pytest.mark.parametrize("dense", [True, False])
def test_an_export_gives_what_the_model_gives(dense: bool) -> None:
    torch.manual_seed(0)
    model = Model(Wide(), TopKGate, {"k": 2}, {"num_experts": 4}).eval()
    expected = model(X).groups[0][0]
    torch.testing.assert_close(Predictor(model, dense=dense)(X), expected.detach())


def test_the_task_with_experts_that_differ_passes_its_checks() -> None:
    assert [it for it in run_checks(Wide) if not it.ok and it.name != "is_documented"] == []


@pytest.mark.slow
def test_the_preset_runs(place: Path) -> None:
    """With fewer epochs and trials."""
    content = yaml.safe_load((ROOT / "examples" / "polyhedral.yaml").read_text())
    content["training"] |= {"max_epochs": 2, "patience": 1}
    content |= {"search": {"trials": 1}, "evaluation": {"seeds": 2}}
    (place / "faces.yaml").write_text(yaml.safe_dump(content))
    said = gatelab(place, "launch", "faces.yaml")
    assert "dselect_k" in said and "accuracy" in said and " failed: " not in said
