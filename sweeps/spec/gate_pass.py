"""A first pass through a gate: what breaks its contract for sure, found before anything trains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gatelab.foreign import ForeignError, foreign, is_ours
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate, gates
from gatelab.gates.meanings import check_diagnostics, check_scalars
from gatelab.gates.randomness import drawing_from
from gatelab.gates.stack import Stack
from gatelab.nn.kept import lost_by_a_pass
from gatelab.nn.writers import writers
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.task import Network
from gatelab.training.configuration import Configuration


def pass_gate(
    spec: Spec, label: str, chosen: Configuration, network: Network, x: Tensor, num_targets: int
) -> None:
    """Pass a few rows through a gate that does not raise; :mod:`.rehearsals` names those.

    Args:
        spec: Whose gate it is.
        label: The gate's, in the spec.
        chosen: What it is made with.
        network: Around it.
        x: What the gate reads, ``(batch, gate_features)`` of the features or of one expert.
        num_targets: Of the task.

    Raises:
        SpecError: If it breaks a rule of gates.
    """
    cls = gates.get(spec.gates[label].gate)
    num_experts = cls.num_experts_for(chosen.num_experts, num_targets)
    x = x.repeat(1, num_experts) if network.gate_reads_experts else x
    make = partial(make_gate, cls, x.shape[1], num_experts, num_targets=num_targets, **chosen.gate)
    try:
        with seeded(0), foreign():
            made = [make(target=t) for t in range(1 if is_ours(cls) else num_targets)]
            gate = made[0]
            fault = _kept_apart(made) or _fault(gate, x)
            found = gate.eval()(x.clone()).diagnostics
    except ForeignError:
        return
    if fault:
        raise SpecError("spec", f"gates.{label}", fault)
    try:
        check_scalars(found)
        check_diagnostics(cls.diagnostics, found)
    except ValueError as error:
        raise SpecError("spec", f"gates.{label}", str(error)) from error


def _kept_apart(made: Sequence[Gate]) -> str:
    """Return why the gates of all targets cannot be a part of one model; empty: they can."""
    try:
        Stack(made)
    except ValueError as error:
        return str(error)
    return ""


def _fault(gate: Gate, x: Tensor) -> str:
    """Return the first rule that a gate breaks in passes over rows; empty: none."""
    if lost := lost_by_a_pass({"gate": gate}, lambda: gate(x.clone())):
        return f"{lost}; what a gate keeps is a buffer that its `update` returns."
    if writers([gate], [lambda: gate(x.clone()), lambda: gate.eval()(x.clone())]):
        return (
            "a gate must leave what it reads as it was, as other gates and experts read it too, "
            "but this writes into it: take a copy (`x = x - 1`, not `x -= 1`), or leave out "
            "`inplace=True`."
        )
    if not torch.equal(*(_weights(gate.eval(), x, seed) for seed in (0, 1))):
        return (
            "in evaluation a gate must give the same rows the same weights, but two passes of this "
            "differ: draw, and keep, only where `self.training`."
        )
    if not torch.equal(*(_weights(gate.train(), x, 0) for _ in range(2))):
        return (
            "a gate's weights must follow from its tensors and torch's seed, but two passes from "
            "one seed differ: draw by torch without a generator, and keep what changes in a "
            "buffer that `update` returns."
        )
    return ""


def _weights(gate: Gate, x: Tensor, seed: int) -> Tensor:
    """Return the weights of rows, without NaN, which is another's finding; buffers stay."""
    buffers = {name: buffer.clone() for name, buffer in gate.named_buffers()}
    with drawing_from(seed), torch.no_grad():
        weights: Tensor = gate(x.clone()).weights
        for name, buffer in gate.named_buffers():
            buffer.copy_(buffers[name])
    return weights.nan_to_num()
