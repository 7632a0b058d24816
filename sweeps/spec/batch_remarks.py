"""Remarks on gates whose weights for a row follow from the rows that happen to be beside it."""

from __future__ import annotations

import torch

from gatelab.foreign import ForeignError, foreign, is_ours
from gatelab.gates.gate import gates
from gatelab.gates.randomness import drawing_from
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.training.model import target_gate

PASSED_TOGETHER = 64
"""Of which one is passed alone too."""
WEIGHTS_DIFFER_FROM = 1e-4
"""Within which weights are the same: products of other sizes are rounded otherwise."""
FOLLOWS_FROM_ROWS = (
    "in evaluation a row's weights follow from the rows beside it: its scores hang on which rows "
    "are passed together, and gates that see each row by itself have less to go by"
)


def told_batches(spec: Spec, task: Task) -> list[str]:
    """Return a line for each gate of one's own that looks at a batch to weigh a row.

    Args:
        spec: It has been checked.
        task: The spec's.
    """
    own = [label for label, gate in spec.gates.items() if not is_ours(gates.get(gate.gate))]
    return [f"gate {label!r}: {FOLLOWS_FROM_ROWS}." for label in own if _follows(spec, task, label)]


def _follows(spec: Spec, task: Task, label: str) -> bool:
    try:
        with foreign(), drawing_from(0), torch.no_grad():
            return _differs(spec, task, label)
    except ForeignError:  # which a rehearsal says
        return False


def _differs(spec: Spec, task: Task, label: str) -> bool:
    """Return whether the first of some rows has other weights alone, with any structure."""
    cls = gates.get(spec.gates[label].gate)
    for chosen in {c.structure(): c for c in space(spec, label, task).at_extremes()}.values():
        experts = cls.num_experts_for(chosen.num_experts, len(task.targets))
        sizes = (task.network(**chosen.network).gate_width(experts), experts)
        gate = target_gate(task, 0, cls, sizes, chosen.gate).eval()
        x = torch.randn(PASSED_TOGETHER, sizes[0])
        beside, alone = (gate(rows).weights[0] for rows in (x.clone(), x[:1].clone()))
        if not torch.allclose(
            beside, alone, rtol=WEIGHTS_DIFFER_FROM, atol=WEIGHTS_DIFFER_FROM, equal_nan=True
        ):
            return True
    return False
