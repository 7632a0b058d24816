"""Remarks on `union_weight`: where what it costs cannot change, or cannot be saved."""

from __future__ import annotations

import torch
from torch import Tensor

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.auxiliary import AuxiliaryLosses
from gatelab.gates.gate import Gate, gates
from gatelab.gates.randomness import drawing_from
from gatelab.gates.softmax import SoftmaxGate
from gatelab.gates.union import union_cost
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.training.configuration import Configuration
from gatelab.training.model import target_gate

ROWS_LOOKED_AT = 64


def told_unions(spec: Spec, task: Task) -> list[str]:
    """Return a line for each gate that a spec lets pay for a union which it cannot lower.

    Args:
        spec: It has been checked.
        task: The spec's.
    """
    found = ((label, _remark(spec, task, label)) for label in spec.gates)
    return [f"gate {label!r}: {remark}." for label, remark in found if remark]


def _remark(spec: Spec, task: Task, label: str) -> str:
    """Return what is first to say of a gate at the ends of its ranges; empty where nothing is."""
    chosen = space(spec, label, task).at_extremes()
    paying = [one for one in chosen if one.gate.get("union_weight")]
    if paying and len(task.targets) == 1:
        return (
            "`union_weight` is what experts cost that any target uses, but there is one target: "
            "of weights that sum to one it is a constant"
        )
    return next((why for one in paying if (why := _why_idle(spec, task, label, one))), "")


def _why_idle(spec: Spec, task: Task, label: str, chosen: Configuration) -> str:
    try:
        with foreign(), drawing_from(0):
            return _why_of_gate(*_gates_of_two(spec, task, label, chosen))
    except ForeignError:  # which a rehearsal says
        return ""


def _gates_of_two(spec: Spec, task: Task, label: str, chosen: Configuration) -> tuple[Gate, Gate]:
    """Return the gates of the first two targets."""
    cls = gates.get(spec.gates[label].gate)
    experts = cls.num_experts_for(chosen.num_experts, len(task.targets))
    sizes = (task.network(**chosen.network).gate_width(experts), experts)
    first, second = (target_gate(task, target, cls, sizes, chosen.gate) for target in (0, 1))
    return first, second


def _why_of_gate(first: Gate, second: Gate) -> str:
    plain = first.gate if isinstance(first, AuxiliaryLosses) else first
    if isinstance(plain, SoftmaxGate):
        return "`union_weight` saves no expert: softmax gives each some weight, so that all run"
    if first.k != 1 or _moves_weights(first, second):
        return ""
    return "`union_weight` changes nothing where k is 1: the one weight of a row is always 1"


def _moves_weights(*both: Gate) -> bool:
    """Return whether the cost of the union has a gradient in what gates learn."""
    x = torch.randn(ROWS_LOOKED_AT, both[0].in_features)
    cost: Tensor = union_cost(torch.stack([gate(x).weights for gate in both]))
    learnt = [it for gate in both for it in gate.parameters() if it.requires_grad]
    if not (learnt and cost.requires_grad):
        return False
    found = torch.autograd.grad(cost, learnt, allow_unused=True)
    return any(bool(it.any()) for it in found if it is not None)
