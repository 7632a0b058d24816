"""Gates: how an input is routed to experts."""

from gates.auxiliary import AUXILIARY_WEIGHTS, make_gate
from gates.bias_balanced_top_k import BiasBalancedTopKGate
from gates.comet import CometGate
from gates.dselect_k import DSelectKGate
from gates.entmax15 import Entmax15Gate
from gates.fixed import OneEachGate, RandomKGate, SingleGate, UniformGate
from gates.gate import (
    Gate,
    Routing,
    check_k,
    check_not_negative,
    check_positive,
    gates,
    register_gate,
)
from gates.gumbel_softmax import GumbelSoftmaxGate
from gates.lapsum import LapSumGate
from gates.logits import Logits, for_each_row
from gates.mixture import Mixture
from gates.noisy_top_k import NoisyTopKGate
from gates.relu import ReLUGate
from gates.sampled_k import SampledKGate
from gates.softmax import SoftmaxGate
from gates.sparsemax import SparsemaxGate
from gates.stack import Stack
from gates.top_k import TopKGate

__all__ = [
    "BiasBalancedTopKGate",
    "CometGate",
    "Entmax15Gate",
    "OneEachGate",
    "RandomKGate",
    "SingleGate",
    "UniformGate",
    "GumbelSoftmaxGate",
    "LapSumGate",
    "NoisyTopKGate",
    "ReLUGate",
    "SampledKGate",
    "SparsemaxGate",
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
