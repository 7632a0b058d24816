"""Checks of a network as it trains: one module runs with the tensors of every model in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gatelab.conformance import fail
from gatelab.foreign import told
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.subject import Modules, Subject, alike, is_expert, is_tower, walk

WITH = "where it runs with another model's tensors"
AGAIN = "torch.utils.checkpoint, which computes again with the module's own: leave it out"
"""What most likely goes back through other tensors than those of the pass."""
Call = Callable[[Tensor], Tensor]


def check_networks_can_be_stacked(subject: Subject) -> None:
    """A module gives with another's tensors what that gives; experts and towers stacked, too.

    What ``torch.vmap`` refuses is no finding: it trains, one model after another.
    """
    pair = [subject.modules(seed) for seed in (0, 1)]
    for module in (module for modules in pair for module in modules.values()):
        module.eval()
    inputs = [subject.inputs(), subject.inputs().flip(0)]
    walks = zip(*(_walked(*each) for each in zip(pair, inputs, strict=True)), strict=True)
    for (name, x, one), (_, y, other) in walks:
        module, another = (modules[name] for modules in pair)
        if not alike(_in_turn(name, module, another, y), other):
            fail(f"the {name} gives something else {WITH}", "a plain attribute as state")
        together = (
            _together([module, another], torch.stack([x, y])) if _runs_stacked(name) else None
        )
        if together is not None and not alike(together, torch.stack([one, other])):
            fail(
                f"the {name} gives something else under torch.vmap",
                "torch.autocast in forward, or numbers that are drawn in evaluation too",
            )


def _walked(modules: Modules, inputs: Tensor) -> list[tuple[str, Tensor, Tensor]]:
    with seeded(0), torch.no_grad():
        return list(walk(modules, inputs))


def _runs_stacked(name: str) -> bool:
    """Return whether one module runs as several of a model, which training never compares."""
    return is_expert(name) or is_tower(name)


def _in_turn(name: str, module: nn.Module, other: nn.Module, x: Tensor) -> Tensor:
    """Run a module with another's tensors, in training too, where it must only work."""
    for training in (True, False):
        module.train(training)
        try:
            with seeded(0), torch.no_grad():
                result = _with(module, _tensors(other))(x.clone())
        except Exception as error:  # whatever a stranger's module raises
            fail(f"the {name} raises {told(error)} {WITH}", "a look at what only a parameter has")
    return result


def _together(modules: list[nn.Module], inputs: Tensor) -> Tensor | None:
    """Run modules in one vmapped call; return nothing where that cannot be."""
    parts = [_tensors(module) for module in modules]
    tensors = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    try:
        with seeded(0), torch.no_grad():
            call = torch.vmap(lambda t, x: _with(modules[0], t)(x), randomness="different")
            result: Tensor = call(tensors, inputs)
    except Exception:  # whatever vmap does not know
        return None
    return result


def check_networks_learn_when_stacked(subject: Subject) -> None:
    """Another's tensors, with which a module runs, get the gradients that they have at home."""
    if found := learns_otherwise(subject.modules(0), subject.modules(1), subject.inputs()):
        fail(found, AGAIN)


def learns_otherwise(modules: Modules, others: Modules, inputs: Tensor) -> str:
    """Return what of modules learns otherwise when they run with others' tensors; empty: nothing.

    So they do in training: many models run first, with one module's code, and go back then.

    Args:
        modules: That run.
        others: Of the same factories, whose tensors those run with.
        inputs: ``(batch, ...)``
    """
    for name, x, _ in _walked(others, inputs):
        tensors, at_home = _tensors(others[name]), dict(others[name].named_parameters())
        for path, parameter in at_home.items():
            tensors[path].requires_grad_(parameter.requires_grad)
        found = _gradients(_with(modules[name], tensors), tensors, x)
        first, again = (_gradients(others[name], at_home, x) for _ in range(2))
        for path in at_home:
            settled = alike(first[path], again[path])  # nothing is drawn from a stream of its own
            if settled and not alike(found[path], first[path]):
                return f"{path!r} of the {name} has another gradient {WITH}"
    return ""


def _gradients(call: Call, tensors: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Return the gradients that a random one of the output leaves; ``()`` where there is none."""
    leaf = x.detach().clone().requires_grad_(x.is_floating_point())
    with seeded(0):
        output = call(leaf.clone())
        if output.requires_grad:
            output.backward(torch.randn_like(output))
    found = {name: tensor.grad for name, tensor in tensors.items()}
    for tensor in tensors.values():
        tensor.grad = None
    return {name: torch.zeros(()) if g is None else g.to_dense() for name, g in found.items()}


def _with(module: nn.Module, tensors: dict[str, Tensor]) -> Call:
    """Return what runs a module with tensors in the place of its own."""

    def call(x: Tensor) -> Tensor:
        output: Tensor = functional_call(module, tensors, (x,))
        return output

    return call


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of all tensors of a module by name."""
    named = chain(module.named_parameters(), module.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


CHECKS = (check_networks_can_be_stacked, check_networks_learn_when_stacked)
