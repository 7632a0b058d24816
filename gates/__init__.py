"""Gates: how an input is routed to experts."""

from gatelab.gates.auxiliary import AUXILIARY_WEIGHTS, make_gate
from gatelab.gates.bias_balanced_top_k import BiasBalancedTopKGate
from gatelab.gates.cgc import CGCGate
from gatelab.gates.comet import CometGate
from gatelab.gates.constant import ConstantGate
from gatelab.gates.dselect_k import DSelectKGate
from gatelab.gates.entmax15 import Entmax15Gate
from gatelab.gates.fixed import (
    IndependentGate,
    OneEachGate,
    RandomKGate,
    SingleGate,
    UniformGate,
)
from gatelab.gates.gate import Gate, Planted, Role, Routing, check_k, gates, register_gate
from gatelab.gates.gumbel_softmax import GumbelSoftmaxGate
from gatelab.gates.lapsum import LapSumGate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.gates.mixture import Mixture
from gatelab.gates.noisy_top_k import NoisyTopKGate
from gatelab.gates.oracle import OracleGate
from gatelab.gates.relu import ReLUGate
from gatelab.gates.sampled_k import SampledKGate
from gatelab.gates.softmax import SoftmaxGate
from gatelab.gates.sparsemax import SparsemaxGate
from gatelab.gates.stack import Stack
from gatelab.gates.top_k import TopKGate
from gatelab.rules import check_not_negative, check_positive

__all__ = [
    "BiasBalancedTopKGate",
    "CGCGate",
    "CometGate",
    "ConstantGate",
    "Entmax15Gate",
    "IndependentGate",
    "OneEachGate",
    "RandomKGate",
    "SingleGate",
    "UniformGate",
    "GumbelSoftmaxGate",
    "LapSumGate",
    "NoisyTopKGate",
    "OracleGate",
    "Planted",
    "ReLUGate",
    "SampledKGate",
    "SparsemaxGate",
    "AUXILIARY_WEIGHTS",
    "DSelectKGate",
    "Gate",
    "Logits",
    "Mixture",
    "Role",
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
