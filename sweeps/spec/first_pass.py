"""Checks of a spec with its data: everything that can fail before anything is trained.

``validate`` and ``launch`` make the same: the data, and a pass of a few rows through all networks,
gates and metrics that the spec describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from gatelab.conformance import CheckFailed, fail
from gatelab.foreign import ForeignError, foreign, is_ours, told
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import gates
from gatelab.gates.meanings import check_diagnostics, check_scalars
from gatelab.kept import IN_PLACE, lost_by_a_pass
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.space import configuration, space
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.check.all_rows import check_rows_pass
from gatelab.tasks.check.data import check_data
from gatelab.tasks.check.made import check_made
from gatelab.tasks.check.network import outputs_that_fit
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.stacked import AGAIN, learns_otherwise
from gatelab.tasks.check.subject import (
    BATCH,
    SPLITS,
    gate_input_of,
    is_expert,
    known,
    made_of,
    outputs,
)
from gatelab.tasks.loss import check_loss_values
from gatelab.tasks.metric import metrics_of
from gatelab.tasks.task import Network, Task
from gatelab.training.configuration import Configuration

BYTES_PER_PARAMETER = 4 * 4
"""Weight, gradient and Adam's two moments, float32."""
MOST_TENSORS = 20_000
"""Of the parameters of a bottom, an expert and all towers: to make so many takes seconds."""
MOST_MEMORY = 2**40
"""Bytes: no machine of a cluster has more memory; on this one a model must be made, to look at."""


def check_sweep(spec: Spec, task: Task) -> None:
    """Check that all data, networks, gates and metrics of a spec work together.

    Args:
        spec: A spec that is valid.
        task: The spec's.

    Raises:
        SpecError: With the first thing that cannot be trained, scored or recorded.
    """
    try:
        check_data(task)
    except ValueError as error:
        raise SpecError("spec", "task", f"{spec.task.name!r}: {error}") from error
    passed: dict[str, Tensor] = {}
    unread = _unread(spec, task)
    for label, chosen in _configurations(spec, task):
        options = {n: v for n, v in chosen.model.items() if n != "num_experts"}
        network = unread.network(**options)
        if repr(options) not in passed:
            _check_memory(spec, network, task, chosen.model)
            passed[repr(options)] = _pass_network(spec, task, network)
            if len(passed) == 1:
                _pass_splits(spec, task, network)
        _pass_gate(spec, label, chosen, network, passed[repr(options)], len(task.targets))


def _unread(spec: Spec, task: Task) -> Task:
    """Return a task whose splits are not made, as a worker's when it makes a network.

    Ours need none: their networks are of what they read themselves.
    """
    return task if is_ours(type(task)) else make_task(spec)


def _configurations(spec: Spec, task: Task) -> Iterator[tuple[str, Configuration]]:
    """Yield what each gate's search may come to, once for every structure."""
    for label in spec.gates:
        found = space(spec, label, task)
        chosen = [configuration(found, sampled) for sampled in found.extremes()]
        yield from ((label, one) for one in {c.structure(): c for c in chosen}.values())


def _check_memory(spec: Spec, network: Network, task: Task, model: Mapping[str, Any]) -> None:
    """Check that the models of an evaluation can be held, by counting without making."""
    try:
        with torch.device("meta"), torch.random.fork_rng([]), foreign(), _bounded():
            modules = made_of(network, task.targets)
    except ForeignError as error:
        if isinstance(error.__cause__, _TooManyLayers):
            raise SpecError("spec", "model", _too_many(model)) from error
        return  # numbers that are computed with when a module is made
    sizes = {name: _size(module) for name, module in modules.items()}
    seeds, num_experts = spec.evaluation.seeds, model["num_experts"]
    numbers = numbers_of_model(network, sizes, num_experts)
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path, count, memory in (
        ("model", 1, here),
        ("evaluation.seeds", seeds, max(here, MOST_MEMORY)),
    ):
        needed = BYTES_PER_PARAMETER * numbers * count
        if needed > memory:
            what = "a model takes" if path == "model" else f"{count} models at once take"
            raise SpecError(
                "spec",
                path,
                f"{what} {needed / 1e9:,.0f} GB to train, of at most {memory / 1e9:,.0f}, "
                f"with {max(_of_experts(sizes)):,} parameters an expert and {num_experts=}.",
            )


def numbers_of_model(network: Network, sizes: Mapping[str, int], num_experts: int) -> int:
    """Return how many numbers a model has without its gates.

    Args:
        network: Says how many experts are of each kind.
        sizes: The numbers of each module, by the names of :func:`made_of`.
        num_experts: In all.
    """
    counts = dict(network.experts(num_experts))
    kinds = zip(network.kinds_of_experts, _of_experts(sizes), strict=True)
    more = sum((counts.get(kind, 0) - 1) * size for kind, size in kinds)
    return sum(sizes.values()) + more


def _of_experts(sizes: Mapping[str, int]) -> list[int]:
    return [size for name, size in sizes.items() if is_expert(name)]


class _TooManyLayers(Exception):
    """A network goes on and on."""


@contextmanager
def _bounded() -> Iterator[None]:
    """End the making of modules that have too many parameters, which also fill memory unmade."""
    count = 0

    def count_one(*_: object) -> None:
        nonlocal count
        count += 1
        if count > MOST_TENSORS:
            raise _TooManyLayers

    hook = register_module_parameter_registration_hook(count_one)
    try:
        yield
    finally:
        hook.remove()


def _too_many(model: Mapping[str, Any]) -> str:
    numbers = {name: value for name, value in model.items() if isinstance(value, int)}
    largest = max(numbers, key=lambda name: numbers[name])
    return (
        f"a network has at most {MOST_TENSORS} tensors of parameters, but this has more, with "
        f"{largest}={numbers[largest]}."
    )


def _size(module: nn.Module) -> int:
    tensors = chain(module.parameters(), module.buffers())
    return sum(tensor.numel() for tensor in tensors if not is_lazy(tensor))


def _pass_network(spec: Spec, task: Task, network: Network) -> Tensor:
    """Pass a few rows through a network and the metrics; return what its gates read."""
    split = task.data("train").part(slice(BATCH))
    try:
        with seeded(0), foreign():
            modules = made_of(network, task.targets)
        check_made(modules)
        found = outputs_that_fit(modules, task.targets, network.gate_features, split.inputs)
        with foreign():
            lost = lost_by_a_pass(modules, lambda: outputs(modules, split.inputs))
        if lost:
            fail(lost, IN_PLACE)
        _check_learns(modules, network, task, split.inputs)
    except CheckFailed as error:
        raise SpecError("spec", "task", f"{spec.task.name!r}: {error}") from error
    except ForeignError as error:
        why = f"{spec.task.name!r}: the network raises {told(error.__cause__ or error)}."
        raise SpecError("spec", "task", why) from error
    for target, rows, values in known(split, task.targets):
        output = found[f"tower of {target.name!r}"].detach()[rows]
        try:
            check_loss_values(target, output, values)
        except ValueError as error:
            raise SpecError("spec", "task", f"{spec.task.name!r}: {error}") from error
        weights = None if split.weights is None else split.weights[rows]
        for name, metric in metrics_of(target, spec.metrics).items():
            if weights is not None and not metric.takes_weights():
                why = (
                    f"{name!r} is of rows that count alike, but those of {spec.task.name!r} are "
                    "weighted: give its `compute` an argument `weights`, or leave it out."
                )
                raise SpecError("spec", "metrics", why)
            try:
                with foreign():
                    metric.score(output, values, weights)
            except ForeignError as error:
                why = f"{name!r} raises {told(error.__cause__ or error)}, of {target.name!r}."
                raise SpecError("spec", "metrics", why) from error
    return found[gate_input_of(modules)].detach()


def _check_learns(
    modules: Mapping[str, nn.Module], network: Network, task: Task, inputs: Tensor
) -> None:
    """Check that another model of the network learns where these modules run with its tensors."""
    with seeded(1), foreign():
        lost = learns_otherwise({**modules}, made_of(network, task.targets), inputs)
    if lost:
        fail(lost, AGAIN)


def _pass_splits(spec: Spec, task: Task, network: Network) -> None:
    """Pass all rows through a network, as far as time allows: what one raises, no trial survives.

    Test comes first, whose rows are met when the search is spent.
    """
    with seeded(0), foreign():
        modules = made_of(network, task.targets)
    for name in SPLITS[::-1]:
        with foreign():  # which makes test once more
            inputs = task.data(name).inputs
        try:
            check_rows_pass(modules, name, inputs)
        except CheckFailed as error:
            raise SpecError("spec", "task", f"{spec.task.name!r}: {error}") from error


def _pass_gate(
    spec: Spec, label: str, chosen: Configuration, network: Network, x: Tensor, num_targets: int
) -> None:
    """Pass a few rows through a gate that does not raise; :mod:`.rehearsals` names those."""
    cls = gates.get(spec.gates[label].gate)
    num_experts = cls.num_experts_for(chosen.model["num_experts"], num_targets)
    if network.gate_reads_experts:
        x = x.repeat(1, num_experts)
    try:
        with seeded(0), foreign():
            gate = make_gate(
                cls, x.shape[1], num_experts, target=0, num_targets=num_targets, **chosen.gate
            )
            lost = lost_by_a_pass({"gate": gate}, lambda: gate(x))
            found = gate.eval()(x).diagnostics
    except ForeignError:
        return
    if lost:
        why = f"{lost}; what a gate keeps is a buffer that its `update` returns."
        raise SpecError("spec", f"gates.{label}", why)
    try:
        check_scalars(found)
        check_diagnostics(cls.diagnostics, found)
    except ValueError as error:
        raise SpecError("spec", f"gates.{label}", str(error)) from error
