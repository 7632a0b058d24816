"""How much of a node a job gets where its spec leaves that open: small jobs share a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.gate import gates
from gatelab.gates.stack import convolves
from gatelab.sweeps.spec.first_pass import BYTES_PER_PARAMETER
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.training.configuration import Configuration
from gatelab.training.model import Model

if TYPE_CHECKING:
    from gatelab.sweeps.cluster.nodes import Node

GPU_BYTES = 16 * 2**30
"""Of memory, as if every GPU had what the smallest ones for rent have."""
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of a GPU, for one job."""
ON_CPU, ON_GPU = 4, 32
"""How many models train at once where a spec leaves it open. A core gains little beyond 4; a GPU
waits for its host below many, and each sweep finds out how many: docs/benchmarks.md."""
CONTEXT_BYTES = 2**29
"""Of a GPU's memory that each process takes before it computes anything."""
T = TypeVar("T")


@dataclass(frozen=True)
class Needs:
    """What one job occupies."""

    cpus: float
    gpus: float
    """A fraction shares a GPU."""
    members: int = 1
    """Models that it trains at once, at most."""


def needs(spec: Spec, task: Task, nodes: Sequence[Node]) -> Needs:
    """Return what the spec gives a job; what it leaves open follows from the nodes that there are.

    A job gets a CPU, and where there are GPUs the smallest share of one that holds it. Then as
    many share a node's CPUs as share its GPUs, so that neither is left over.
    """
    cpus, gpus = spec.resources.cpus, spec.resources.gpus
    with_gpus = [node for node in nodes if node.gpus]
    if gpus is None:
        gpus = gpu_share(job_bytes(spec, task)) if with_gpus else 0.0
    if cpus is None:
        cpus = _cpu_share(with_gpus if gpus else nodes, gpus)
    return Needs(cpus, gpus, _members(spec, gpus, task))


def _members(spec: Spec, gpus: float, task: Task) -> int:
    """Return how many models train at once, the same on however many nodes.

    Who trains beside whom may change a loss in its last digits, so it must not follow from how
    many jobs there is room for. Models with convolutions are called one by one on a CPU: they gain
    nothing of each other there, and a job of several would leave other CPUs idle.
    """
    if spec.resources.members is not None:
        return spec.resources.members
    if gpus:
        return ON_GPU
    found = of_each_gate(spec.gates, lambda label: convolves(largest(spec, label, task)[1]))
    return 1 if any(found.values()) else ON_CPU


def of_each_gate(labels: Iterable[str], measure: Callable[[str], T]) -> dict[str, T]:
    """Return what is measured of each gate, by label, without those whose code raises.

    Their trials will fail, which a rehearsal says; what the others need is not changed by it.
    """
    found: dict[str, T] = {}
    for label in labels:
        with suppress(ForeignError), foreign():
            found[label] = measure(label)
    return found


def gpu_share(size: int) -> float:
    """Return the share of a GPU for a job of so many bytes."""
    return next((share for share in SHARES if size <= share * GPU_BYTES), SHARES[-1])


def _cpu_share(nodes: Sequence[Node], gpus: float) -> float:
    """Return the CPUs of a job: one, or less where a node has fewer than jobs on its GPUs."""
    if not gpus:
        return min(1.0, max((node.cpus for node in nodes), default=1.0) or 1.0)
    least = min((node.cpus * gpus / node.gpus for node in nodes), default=1.0)
    return min(1.0, math.floor(100 * least) / 100)


def job_bytes(spec: Spec, task: Task) -> int:
    """Return about how much memory of a GPU the largest job of a sweep takes, in bytes.

    It trains as many members as may train together, or a trial's seeds. One forward pass on this
    machine's CPU shows what one keeps for the backward pass; as much again is taken as passing.
    """
    data = sum(_nbytes(task.data("train"))) + sum(_nbytes(task.data("val")))
    sizes = of_each_gate(spec.gates, lambda label: _member_bytes(spec, label, task))
    member = max(sizes.values(), default=0)
    members = max(_members(spec, 1, task), spec.search.seeds)
    return CONTEXT_BYTES + data + members * member


def _nbytes(tensors: Sequence[Tensor | None]) -> list[int]:
    return [tensor.nbytes for tensor in tensors if tensor is not None]


def _member_bytes(spec: Spec, label: str, task: Task) -> int:
    """Return the bytes of a gate's largest member and of one of its training steps."""
    _, model = largest(spec, label, task)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs = task.data("train")[0][: spec.training.batch_size]
    with torch.random.fork_rng([]), saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(inputs)  # kept alive, so that no address is used twice
    del output
    learner = spec.gates[label].learner.cls
    passes = max(map(learner.kept_passes, _learner_options(spec, label, task)))
    own = BYTES_PER_PARAMETER * _parameters(model) + 2 * round(passes * sum(kept.values()))
    return learner.copies(len(task.targets)) * own


def largest(spec: Spec, label: str, task: Task) -> tuple[Configuration, Model]:
    """Return a configuration of a gate's search whose model has the most parameters, with it."""
    gate, chosen = gates.get(spec.gates[label].gate), space(spec, label, task).at_extremes()
    sizes = {str(c.model): c for c in chosen}  # the gate's own values hardly matter
    with torch.random.fork_rng([]):
        models = [(c, Model(task, gate, c.gate, c.model)) for c in sizes.values()]
    return max(models, key=lambda made: _parameters(made[1]))


def _learner_options(spec: Spec, label: str, task: Task) -> list[dict[str, Any]]:
    learner, chosen = spec.gates[label].learner.cls, space(spec, label, task).at_extremes()
    return [learner.completed(each.learner_options) for each in chosen]


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
