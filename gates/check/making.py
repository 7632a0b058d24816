"""Checks without which no other can find anything: a gate is made, and returns a routing."""

from __future__ import annotations

from torch import Tensor

from gatelab.conformance import fail
from gatelab.foreign import told
from gatelab.gates.check.subject import Subject, route, rows
from gatelab.gates.gate import Routing


def check_can_be_made(subject: Subject) -> None:
    """The constructor takes the sizes and every default."""
    try:
        gate = subject.make()
    except Exception as error:
        cause = "an error in `__init__`"
        if "before Module.__init__() call" in str(error):
            cause = _NO_SUPER
        fail(f"to make the gate raises {told(error)}", cause)
    if not hasattr(gate, "num_experts") or "_modules" not in vars(gate):
        fail("the gate has not been told its sizes", _NO_SUPER)


def check_returns_a_routing(subject: Subject) -> None:
    """``forward`` returns a Routing of tensors."""
    routing: object = route(subject.make(), rows())
    if not isinstance(routing, Routing):
        what = "a Tensor" if isinstance(routing, Tensor) else f"{type(routing).__name__}"
        fail(f"forward returns {what}", "no `Routing(weights, aux_loss)` around it")
    for name, value in (("weights", routing.weights), ("aux_loss", routing.aux_loss)):
        if not isinstance(value, Tensor):
            cause = "a number of Python's, such as 0.0: write `weights.new_zeros(())`"
            fail(f"{name} is of type {type(value).__name__}, not a Tensor", cause)


_NO_SUPER = "no `super().__init__(in_features, num_experts)` at the beginning of `__init__`"
CHECKS = (check_can_be_made, check_returns_a_routing)
"""In the order in which a mistake is best mended."""
