"""Checks of a task's factories: modules that fit together, are fresh, and can be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from gatelab.conformance import fail
from gatelab.foreign import ForeignError, foreign, told
from gatelab.nn.kept import IN_PLACE, lost_by_a_pass
from gatelab.nn.likeness import advice, difference
from gatelab.nn.ties import MADE_OUTSIDE, tie
from gatelab.tasks.check.raised import cause_of
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.subject import (
    BATCH,
    READS_EXPERT,
    READS_FEATURES,
    Modules,
    Subject,
    gate_input_of,
    is_expert,
    is_tower,
    known,
    outputs,
    walk,
)
from gatelab.tasks.loss import check_loss_values
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network

STEPS, TRIES, ROWS, LEARNING_RATE = 3, 3, 64, 0.05


def check_network_fits(subject: Subject) -> None:
    """Raw inputs go through every module, for one row and for eight, to shapes that fit."""
    width = subject.make().network().gate_features
    for rows in (1, BATCH):
        outputs_that_fit(subject.modules(), subject.targets, width, subject.inputs(rows))


def outputs_that_fit(
    modules: Modules, targets: Sequence[Target], gate_features: int, inputs: Tensor
) -> dict[str, Tensor]:
    """Pass a few rows through every module; return what each gives, by its name.

    Raises:
        CheckFailed: If one raises, or gives what does not fit, with its name.
    """
    rows, found = len(inputs), {}
    expected: dict[str, tuple[int, ...]] = {gate_input_of(modules): (rows, gate_features)}
    for target in targets:
        expected[f"tower of {target.name!r}"] = (rows, target.out_features)
    for name, output in _outputs_one_by_one(modules, inputs):
        _check_output(name, output, rows, expected.get(name))
        if name == "expert":  # as which those of other kinds must be
            expected |= {other: tuple(output.shape) for other in modules if is_expert(other)}
        found[name] = output
    return found


def _outputs_one_by_one(modules: Modules, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield every output; where a module raises, the finding names it."""
    walked = walk(modules, inputs)
    for name in modules:
        try:
            with seeded(0), foreign():
                _, _, output = next(walked)
        except ForeignError as error:
            raised = error.__cause__ or error
            fail(f"the {name} raises {told(raised)} for {len(inputs)} rows", cause_of(raised))
        yield name, output


def _check_output(name: str, output: Tensor, rows: int, expected: tuple[int, ...] | None) -> None:
    if not isinstance(output, Tensor):
        fail(f"the {name} gives a {type(output).__name__}, not a tensor", "no output picked of it")
    shape = tuple(output.shape)
    if expected is not None and shape != expected:
        fail(f"the {name} gives {shape}, not {expected}", "a size that is not the one declared")
    if shape[:1] != (rows,) or (is_expert(name) and len(shape) != 2):
        fail(f"the {name} gives {shape} for {rows} rows", "a dimension dropped or added")
    if not output.numel():
        fail(f"the {name} gives {shape}, no numbers at all", "a width of 0")
    if output.is_inference():
        fail(
            f"the {name} gives numbers that nothing can learn from",
            "torch.inference_mode() in forward: torch.no_grad() computes the same",
        )
    if not output.is_floating_point() and name != "bottom":
        fail(f"the {name} gives {output.dtype}", "integers that no module turns into floats")
    if not torch.isfinite(output).all():
        fail(f"the {name} gives NaN or inf", "a division by 0, or inputs that are not scaled")


def check_gradient_reaches_experts_and_towers(subject: Subject) -> None:
    """The loss has a gradient at every parameter of theirs that is learnt, not 0 all over."""
    missing = _unreached(subject, 0)
    for seed in range(1, TRIES):  # a unit may be dead at one start
        missing = [name for name in _unreached(subject, seed) if name in missing] if missing else []
    if missing:
        fail(f"no gradient reaches {missing[0]}", "a detach, or a parameter that is not used")


def check_losses_give_numbers(subject: Subject) -> None:
    """A loss of the task's own gives a finite number for every row of train that is looked at."""
    if not any(target.loss for target in subject.targets):
        return
    part = subject.splits["train"].part(slice(BATCH))
    found = outputs(subject.modules(), part.inputs)
    for target, rows, values in known(part, subject.targets):
        try:
            check_loss_values(target, found[f"tower of {target.name!r}"].detach()[rows], values)
        except ValueError as error:
            fail(str(error).rstrip("."), "what not every number allows, such as a root")


def _unreached(subject: Subject, seed: int) -> list[str]:
    """Return the parameters that a loss does not reach after a few steps from a seed."""
    modules, inputs = subject.modules(seed), subject.inputs(ROWS)
    learnt = dict(_learnt(modules))
    if not learnt or not subject.targets:
        return []
    for step in range(STEPS):  # a last layer may start at 0
        loss = _loss(outputs(modules, inputs, seed=step))
        if not loss.requires_grad:
            return list(learnt)
        gradients = torch.autograd.grad(loss, list(learnt.values()), allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(learnt.values(), gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=LEARNING_RATE)
    return [n for n, g in zip(learnt, gradients, strict=True) if g is None or not g.any()]


def _learnt(modules: Modules) -> Iterator[tuple[str, nn.Parameter]]:
    for part, module in modules.items():
        if is_expert(part) or is_tower(part):
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    yield f"{name!r} of the {part}", parameter


def _loss(found: Mapping[str, Tensor]) -> Tensor:
    parts = [(o - 1).square().mean() for name, o in found.items() if is_tower(name)]
    return torch.stack(parts).sum()


def check_factories_make_fresh_modules(subject: Subject) -> None:
    """Two calls of a factory share nothing, nor do two factories; experts differ in values."""
    network = subject.make().network()
    with seeded(0):
        for name, factory in _factories(network, subject):
            first, second = factory(), factory()  # both kept: a freed tensor's place is used again
            if _tensors(first) & _tensors(second):
                fail(f"two calls of {name} share a tensor", MADE_OUTSIDE)
        for make in network.kinds_of_experts:
            _check_two(*(dict(make().named_parameters()) for _ in range(2)))
    if found := tie(subject.modules().items(), may=("bottom", READS_FEATURES, READS_EXPERT)):
        fail(found, MADE_OUTSIDE)


def _check_two(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """Check the parameters of two experts of one kind."""
    if {n: t.shape for n, t in one.items()} != {n: t.shape for n, t in other.items()}:
        fail("two experts differ in shapes", "a size that is drawn or counts up")
    if one and all(torch.equal(one[name], other[name]) for name in one):
        fail("two experts start from equal parameters", "a seed set, or constant values")


def check_modules_differ_in_tensors_alone(subject: Subject) -> None:
    """Two modules of a factory, from two seeds, have equal attributes: one runs as both."""
    network = subject.make().network()
    for name, factory in _factories(network, subject):
        with seeded(0):
            first = factory()
        with seeded(1):
            other = factory()
        if found := difference(first, other):
            fail(f"of two calls of {name} {found}", f"what is made anew: {advice(found)}")


def _factories(network: Network, subject: Subject) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    subject.modules()  # what cannot be made is said there
    yield "bottom", network.bottom
    yield "gate_input", network.gate_input
    for make in network.kinds_of_experts:
        yield "expert", make
    if subject.targets:
        yield "tower", lambda: network.tower(subject.targets[0])


def _tensors(module: nn.Module) -> set[int]:
    return {t.data_ptr() for t in chain(module.parameters(), module.buffers()) if t.numel()}


def check_the_start_follows_torchs_seed(subject: Subject) -> None:
    """The same seed of torch's gives the same parameters: a run can be repeated."""
    first, second = (subject.modules(seed=0, world=world) for world in (1, 2))
    for part, module in first.items():
        again = second[part].state_dict()
        for name, tensor in module.state_dict().items():
            if not torch.equal(tensor, again[name]):
                fail(
                    f"{name!r} of the {part} differs between two starts from one seed",
                    "numbers of numpy's, Python's or the system's",
                )


def check_network_keeps_no_running_statistics(subject: Subject) -> None:
    """A pass keeps nothing, but in a buffer that it changes in place: one runs for many models."""
    modules = subject.modules()
    for part, module in modules.items():
        for child in module.modules():
            if child.training and getattr(child, "track_running_stats", False):
                kind = type(child).__name__
                fail(
                    f"a {kind} of the {part} keeps running statistics",
                    "a LayerNorm is not used, or a part is not kept in evaluation by `train`",
                )
    if lost := lost_by_a_pass(modules, lambda: outputs(modules, subject.inputs())):
        fail(lost, IN_PLACE)


CHECKS = (
    check_network_fits,
    check_losses_give_numbers,
    check_gradient_reaches_experts_and_towers,
    check_factories_make_fresh_modules,
    check_modules_differ_in_tensors_alone,
    check_the_start_follows_torchs_seed,
    check_network_keeps_no_running_statistics,
)
