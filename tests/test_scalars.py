"""Real hyperparameters of gates: none becomes infinite, or 0, by the type of its buffer."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from gatelab.gates import AUXILIARY_WEIGHTS, gates, make_gate
from gatelab.gates.scalars import register_scalars

OURS = [n for n in gates.names() if gates.get(n).__module__.startswith("gatelab.gates.")]
REAL = [
    (gate, name)
    for gate in OURS
    for name, parameter in inspect.signature(gates.get(gate)).parameters.items()
    if isinstance(parameter.default, float)
] + [("top_k", name) for name in AUXILIARY_WEIGHTS]


@pytest.mark.parametrize(("gate", "name"), REAL)
def test_what_single_precision_has_no_number_for_is_refused(gate: str, name: str) -> None:
    needed = {"local_search": True} if name.startswith("search_") else {}
    with pytest.raises(ValueError, match=name.removeprefix("search_")):
        make_gate(gates.get(gate), 6, 8, **needed, **{name: 1e39})


@pytest.mark.parametrize("value", [1e39, -1e39, 1e-39, -1e-50])
def test_both_ends(value: float, request: pytest.FixtureRequest) -> None:
    module = nn.Module()
    with pytest.raises(ValueError, match="`x` must be 0 or 1.2e-38 to 3.4e.38 in size, as float32"):
        register_scalars(module, {"x": value})
    request.getfixturevalue("float64")
    register_scalars(module, {"x": value, "y": 0.0})
    assert module.x.item() == value and module.x.dtype == torch.float64
