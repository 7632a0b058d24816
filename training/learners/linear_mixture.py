"""A mixture of linear experts in a model: whether it is one, what it reads, where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from gatelab.gates.auxiliary import AuxiliaryLosses
from gatelab.gates.gate import Gate
from gatelab.gates.softmax import SoftmaxGate
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network
from gatelab.training.em import log_likelihood
from gatelab.training.em_experts import LinearExperts, with_one
from gatelab.training.learners.adapting import GATES
from gatelab.training.learners.learner import LEARNER_MODULE
from gatelab.training.members import Members
from gatelab.training.train_rows import TrainRows

WEIGHT, BIAS = "mixture.experts.each.weight", "mixture.experts.each.bias"
"""The names of the experts' parameters in a model."""


class FittedRows(NamedTuple):
    """What a mixture is fitted to, in float64: the known train rows."""

    inputs: Tensor
    """What the experts read, with a 1 behind where they have a bias, ``(rows, features)``."""
    values: Tensor
    """``(rows, columns)``"""
    read: Tensor
    """What the gate reads, ``(rows, gate features)``; a 1 where it is static."""
    counts: Tensor
    """What each counts, ``(rows,)``, of mean 1."""


def why_no_linear_mixture(network: Network, targets: Sequence[Target], gate: Gate) -> str:
    """Return why models of such parts are no mixture of linear experts; empty where they are.

    Args:
        network: Makes the parts around the mixture.
        targets: Of the task.
        gate: One of a model's.
    """
    of = _of_targets(targets)
    if of or type(_plain(gate)) is not SoftmaxGate:
        return of or f"its gate must be softmax, but is {type(_plain(gate)).__name__}"
    with torch.random.fork_rng([]):
        expert, tower = network.expert(), network.tower(targets[0])
        before = {"bottom": network.bottom(), "gate_input": network.gate_input()}
    learnt = [name for name, module in before.items() if _tensors(module)]
    if learnt:
        return f"nothing may be learnt before experts and gate, but `{learnt[0]}` has tensors"
    if network.gate_reads_experts:
        return "its gate must read features, but reads the experts' outputs"
    if network.other_experts or not _is_linear(expert):
        return f"an expert must be one nn.Linear, as all others, but is {_named(network, expert)}"
    if type(tower) is not nn.Identity:
        return f"a tower must be nn.Identity, but is {type(tower).__name__}"
    return ""


def _of_targets(targets: Sequence[Target]) -> str:
    if len(targets) > 1:
        return f"there must be one target, of any number of columns, but there are {len(targets)}"
    (target,) = targets
    if target.kind != "regression":
        return f"its target must be of regression, but {target.name!r} is {target.kind}"
    if target.loss is not None:
        return f"its target's loss must be the squared error, but is {target.loss!r}"
    return ""


def _plain(gate: Gate) -> Gate:
    return gate.gate if isinstance(gate, AuxiliaryLosses) else gate


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _is_linear(expert: nn.Module) -> bool:
    return type(expert) is nn.Linear and all(it.requires_grad for it in expert.parameters())


def _named(network: Network, expert: nn.Module) -> str:
    if network.other_experts:
        return f"of {len(network.kinds_of_experts)} kinds"
    return "frozen" if type(expert) is nn.Linear else f"{type(expert).__name__}"


def keep_mixture(model: nn.Module) -> None:
    """Give a model the buffers of a mixture that is not begun."""
    tensors = dict(model.named_parameters())
    weight = tensors[WEIGHT]
    experts, columns, features = weight.shape
    features += BIAS in tensors
    gate = next(it for name, it in tensors.items() if name.startswith(GATES))
    made = {
        "maps": torch.zeros(experts, features, columns, dtype=torch.float64),
        "variances": torch.ones(experts, dtype=torch.float64),
        "gate": torch.zeros(gate.shape[-2:], dtype=torch.float64),
        "log_likelihood": torch.tensor(-torch.inf, dtype=torch.float64),
    }
    module = nn.Module()
    for name, tensor in made.items():
        module.register_buffer(name, tensor)
    model.add_module(LEARNER_MODULE, module)


def kept_of(members: Members, row: int) -> dict[str, Tensor]:
    """Return views of what is kept of one of members, by name."""
    start = f"{LEARNER_MODULE}."
    buffers = members.buffers.items()
    return {name.removeprefix(start): it[row] for name, it in buffers if name.startswith(start)}


def rows_to_fit(train: TrainRows) -> FittedRows:
    """Return what is fitted, of the train rows whose value is known."""
    model, split = train.model.eval(), train.split
    gate = cast(SoftmaxGate, _plain(model.mixture.each))
    known: Tensor | slice = slice(None) if split.mask is None else split.mask[:, 0]
    with torch.no_grad():
        features = model.bottom(split.inputs[known])
        read: Tensor = model.gate_input(features)
    inputs, read = features.double(), read.double()
    if BIAS in dict(model.named_parameters()):
        inputs = with_one(inputs)
    if gate.logits.kernel is None:
        read = read.new_ones(len(read), 1)
    counts = inputs.new_ones(len(inputs)) if train.factors is None else train.factors[known, 0]
    return FittedRows(inputs, split.targets[known].double(), read, counts.double())


@torch.no_grad()
def put(members: Members, row: int, mixture: LinearExperts) -> None:
    """Put a mixture into one of members: rounded into its tensors, as it is beside them."""
    told = {"log_likelihood": torch.tensor(log_likelihood(mixture), dtype=torch.float64)}
    found = {"maps": mixture.maps, "variances": mixture.variances, "gate": mixture.gate, **told}
    for name, kept in kept_of(members, row).items():
        kept.copy_(found[name])
    for name, own in members.unflatten(members.flat[row]).items():
        if name.startswith(GATES):
            own.copy_(mixture.gate)
        elif name == BIAS:
            own.copy_(mixture.maps[:, -1])
        else:
            own.copy_(mixture.maps.mT[..., : own.shape[-1]])
