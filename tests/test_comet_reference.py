"""COMET against vectors computed by its authors' TensorFlow code, in float32.

tests/data/comet.npz was computed once by running the published gate; another file of the same
layout is named by GATELAB_REFERENCE_COMET.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelab.gates.comet import CometGate
from gatelab.gates.logits import Logits

FILE = os.environ.get("GATELAB_REFERENCE_COMET", str(Path(__file__).parent / "data" / "comet.npz"))
VECTORS = np.load(FILE)
CASES: list[dict[str, Any]] = json.loads(str(VECTORS["meta"]))


def arrays(index: int) -> dict[str, torch.Tensor]:
    prefix = f"{index:03d}/"
    names = [key for key in VECTORS.files if key.startswith(prefix)]
    return {key.removeprefix(prefix): torch.from_numpy(VECTORS[key]) for key in names}


def leaves(num_experts: int, node: int = 0) -> list[int]:
    """Return the heap's indices of the leaves, from left to right."""
    if node >= num_experts - 1:
        return [node]
    return leaves(num_experts, 2 * node + 1) + leaves(num_experts, 2 * node + 2)


def parameters(ref: dict[str, torch.Tensor], num_experts: int, part: str) -> torch.Tensor:
    """Return ours from the reference's: the splits in heap order, then the leaves."""
    names = [f"node{index:03d}" for index in range(num_experts - 1)]
    names += [f"leaf{index:03d}" for index in leaves(num_experts)]
    return torch.cat([ref[f"{name}_{part}"] for name in names], dim=-1)


def make(case: dict[str, Any], ref: dict[str, torch.Tensor]) -> CometGate:
    n, k, features = case["n"], case["k"], case["in_features"]
    gate = CometGate(
        features, n, k=min(k, n), gamma=case["gamma"], entropy_weight=case["entropy_weight"]
    )
    # Some reference cases have more trees than experts, which our constructor refuses.
    gate.k = k
    gate.logits = Logits(features, k * (2 * n - 1), static=False, bias=True)
    with torch.no_grad():
        for part, parameter in gate.logits.named_parameters():
            parameter.copy_(parameters(ref, n, part))
    return gate


@pytest.mark.parametrize("index", range(len(CASES)))
def test_matches_published_code(index: int) -> None:
    case, ref = CASES[index], arrays(index)
    x = ref["x"].clone().requires_grad_()
    routing = make(case, ref)(x)
    y = torch.einsum("bn,nbd->bd", routing.weights, ref["f"])
    ((y * ref["cotangent"]).sum() + routing.aux_loss).backward()
    ours = {
        "expert_weights": routing.weights,
        "y": y,
        "reg": routing.aux_loss,
        "grad_x": x.grad,
    }
    for name, value in ours.items():
        assert value is not None
        scale = float(ref[name].abs().max())
        torch.testing.assert_close(
            value, ref[name], rtol=1e-5, atol=1e-5 * scale + 1e-7, msg=f"{name}: {case}"
        )


def test_cases_are_of_trees_of_every_shape() -> None:
    """Full and ragged trees, and splits that are exact in some rows, are among the cases."""
    assert {case["n"] for case in CASES} >= {2, 3, 4, 5, 8, 13}
    assert any((arrays(i)["expert_weights"] == 0).any() for i in range(len(CASES)))
