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
from gatelab.nn.kept import IN_PLACE, lost_by_a_pass
from gatelab.sweeps.spec.extremes import check_learner_rows
from gatelab.sweeps.spec.gate_pass import pass_gate
from gatelab.sweeps.spec.goals import why_undefined
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.check.all_rows import check_rows_pass
from gatelab.tasks.check.data import check_data
from gatelab.tasks.check.made import check_made
from gatelab.tasks.check.network import outputs_that_fit
from gatelab.tasks.check.passes import check_inputs_stay
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.stacked import AGAIN, learns_otherwise
from gatelab.tasks.check.subject import (
    BATCH,
    SPLITS,
    Modules,
    gate_input_of,
    is_expert,
    known,
    made_of,
    outputs,
)
from gatelab.tasks.loss import check_loss_values
from gatelab.tasks.metric import metrics_of
from gatelab.tasks.target import Target
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
    check_learner_rows(spec, task)
    passed: dict[str, Tensor] = {}
    unread = _unread(spec, task)
    tried = list(_configurations(spec, task))
    several = len({repr(chosen.network) for _, chosen in tried}) > 1
    for label, chosen in tried:
        network, options = unread.network(**chosen.network), repr(chosen.network)
        if options not in passed:
            _check_memory(spec, network, task, chosen)
            with _placed(chosen.network if several else {}, others_pass=bool(passed)):
                passed[options] = _pass_network(spec, task, network)
                if len(passed) == 1:
                    _pass_splits(spec, task, network)
        pass_gate(spec, label, chosen, network, passed[options], len(task.targets))
    _check_objective(spec, task)


def _check_objective(spec: Spec, task: Task) -> None:
    """Check that the objective can be a number on val: else every trial would fail."""
    key = spec.search.objective
    try:
        with foreign():
            why = why_undefined(spec, task)
    except ForeignError as error:
        why = f"it raises {told(error.__cause__ or error)}"
    if why:
        rule = f"must be defined on the val split, but {key!r} is not: {why}."
        raise SpecError("spec", "search.objective", rule)


def _unread(spec: Spec, task: Task) -> Task:
    """Return a task whose splits are not made, as a worker's when it makes a network.

    Ours need none: their networks are of what they read themselves.
    """
    return task if is_ours(type(task)) else make_task(spec)


def _configurations(spec: Spec, task: Task) -> Iterator[tuple[str, Configuration]]:
    """Yield what each gate's search may come to, once for every structure."""
    for label in spec.gates:
        chosen = space(spec, label, task).at_extremes()
        yield from ((label, one) for one in {c.structure(): c for c in chosen}.values())


def _check_memory(spec: Spec, network: Network, task: Task, chosen: Configuration) -> None:
    """Check that the models of a trial can be held, by counting without making."""
    try:
        with torch.device("meta"), torch.random.fork_rng([]), foreign(), _bounded():
            modules = made_of(network, task.targets)
    except ForeignError as error:
        if isinstance(error.__cause__, _TooManyLayers):
            raise SpecError("spec", "model", _too_many(chosen.model)) from error
        return  # numbers that are computed with when a module is made
    sizes = {name: _size(module) for name, module in modules.items()}
    seeds, num_experts = spec.search.seeds, chosen.num_experts
    numbers = numbers_of_model(network, sizes, num_experts)
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path, count, memory in (
        ("model", 1, here),
        ("search.seeds", seeds, max(here, MOST_MEMORY)),
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


@contextmanager
def _placed(options: Mapping[str, Any], *, others_pass: bool) -> Iterator[None]:
    """Say of a task's fault with which of several networks it is; where others pass, whose it is.

    Args:
        options: Of the network; none where there is but one.
        others_pass: Whether one of other options has passed, so that it is not the task's.
    """
    try:
        yield
    except SpecError as error:
        ((path, why),) = error.faults
        if path != "task" or not options:
            raise
        said = ", ".join(f"{name}={value!r}" for name, value in options.items())
        place = "model" if others_pass else path
        raise SpecError("spec", place, f"{why.removesuffix('.')}, with ({said}).") from error


def _pass_network(spec: Spec, task: Task, network: Network) -> Tensor:
    """Pass a few rows through a network and the metrics; return what its gates read."""
    split = task.data("train").part(slice(BATCH))
    try:
        modules, found = _outputs(task, network, split.inputs)
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
        _score(spec, target, output, values, None if split.weights is None else split.weights[rows])
    return found[gate_input_of(modules)].detach()


def _outputs(task: Task, network: Network, inputs: Tensor) -> tuple[Modules, dict[str, Tensor]]:
    """Return a network's modules, and what each gives for rows; they are fit to be trained."""
    with seeded(0), foreign():
        modules = made_of(network, task.targets)
    check_made(modules)
    found = outputs_that_fit(modules, task.targets, network.gate_features, inputs)
    check_inputs_stay(modules, inputs)
    with foreign():
        lost = lost_by_a_pass(modules, lambda: outputs(modules, inputs))
    if lost:
        fail(lost, IN_PLACE)
    _check_learns(modules, network, task, inputs)
    return modules, found


def _score(
    spec: Spec, target: Target, output: Tensor, values: Tensor, weights: Tensor | None
) -> None:
    """Score a target's output by each of its metrics."""
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
            split = task.data(name)
        try:
            check_rows_pass(modules, name, split, task.targets)
        except CheckFailed as error:
            raise SpecError("spec", "task", f"{spec.task.name!r}: {error}") from error
