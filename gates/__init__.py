"""Gates: how an input is routed to experts."""

from gates.auxiliary import AUXILIARY_WEIGHTS, make_gate
from gates.dselect_k import DSelectKGate
from gates.gate import Gate, Routing, gates, register_gate
from gates.mixture import Mixture
from gates.softmax import SoftmaxGate
from gates.stack import Stack
from gates.top_k import TopKGate

__all__ = [
    "AUXILIARY_WEIGHTS",
    "DSelectKGate",
    "Gate",
    "Mixture",
    "Routing",
    "SoftmaxGate",
    "Stack",
    "TopKGate",
    "gates",
    "make_gate",
    "register_gate",
]
