"""Gates: how an input is routed to experts."""

from gates.auxiliary import AUXILIARY_WEIGHTS, make_gate
from gates.dselect_k import DSelectKGate
from gates.gate import (
    Gate,
    Routing,
    check_k,
    check_not_negative,
    check_positive,
    gates,
    register_gate,
)
from gates.logits import Logits, for_each_row
from gates.mixture import Mixture
from gates.softmax import SoftmaxGate
from gates.stack import Stack
from gates.top_k import TopKGate

__all__ = [
    "AUXILIARY_WEIGHTS",
    "DSelectKGate",
    "Gate",
    "Logits",
    "Mixture",
    "Routing",
    "SoftmaxGate",
    "Stack",
    "TopKGate",
    "check_k",
    "check_not_negative",
    "check_positive",
    "for_each_row",
    "gates",
    "make_gate",
    "register_gate",
]
