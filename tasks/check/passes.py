"""Checks of a pass through a task's networks: what it leaves alone, and what it does not need."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from gatelab.conformance import fail
from gatelab.foreign import foreign
from gatelab.nn.writers import WRITES, writers
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.subject import (
    BATCH,
    Modules,
    Subject,
    alike,
    equal,
    identical,
    outputs,
    splits_of,
    walk,
)


def check_the_split_is_not_changed_by_a_pass(subject: Subject) -> None:
    """A pass over part of a split leaves all of it as it is."""
    modules, split = subject.modules(), splits_of(subject.make(), order=("train",))["train"]
    before = copy.deepcopy(split)
    with seeded(0), torch.no_grad():
        for _ in walk(modules, split.inputs[:BATCH], copies=False):
            pass
    if not identical(split, before):
        fail("a pass changes the split", WRITES)


def check_features_are_not_changed_by_a_pass(subject: Subject) -> None:
    """Every module finds what it reads as it was, and leaves it so: others read it too."""
    modules = subject.modules()
    check_inputs_stay(modules, subject.inputs(), but="bottom")


def check_inputs_stay(modules: Modules, inputs: Tensor, but: str = "") -> None:
    """Check that modules write into nothing that they read, in training and in evaluation.

    Raises:
        CheckFailed: With the first that does, ``but`` one.
    """
    names = {module: name for name, module in modules.items() if name != but}
    with torch.no_grad(), foreign():
        trained = writers(names, [lambda: outputs(modules, inputs)])
        evaluated = writers(names, [lambda: outputs(_evaluated(modules), inputs)])
    for module in modules.values():
        module.train()
    for module in (*trained, *evaluated):
        fail(f"the {names[module]} changes its input", WRITES)


def check_evaluation_is_deterministic(subject: Subject) -> None:
    """In evaluation the same rows give the same outputs, whatever the random states."""
    modules, inputs = _evaluated(subject.modules()), subject.inputs()
    first, second = (outputs(modules, inputs, seed) for seed in (0, 1))
    for name, output in first.items():
        if not equal(output, second[name]):
            fail(f"two passes of the {name} differ", "noise without a look at `self.training`")


def check_rows_are_independent(subject: Subject) -> None:
    """In evaluation a row's outputs do not depend on the rows beside it."""
    modules, inputs = _evaluated(subject.modules()), subject.inputs()
    together = outputs(modules, inputs)
    for index in range(BATCH):
        alone = outputs(modules, inputs[index : index + 1])
        for name, output in together.items():
            if not alike(output[index : index + 1], alone[name]):
                fail(f"the {name} gives a row something else alone", "a statistic of the batch")


def check_network_follows_device(subject: Subject) -> None:
    """All networks move with ``to``: tried on CUDA if there is any, else on meta tensors."""
    device = "cuda" if torch.cuda.is_available() else "meta"
    modules = {n: m.to(device) for n, m in _evaluated(subject.modules()).items()}
    try:
        found = outputs(modules, subject.inputs().to(device))
    except RuntimeError as error:
        if "device" not in str(error):
            return  # no finding on devices, or an operation that meta tensors do not know
        fail(f"on {device}: {str(error).splitlines()[0]}", "a tensor made on the CPU in forward")
    for name, output in found.items():
        if output.device.type != device:
            fail(f"on {device} the {name} gives {output.device}", "a tensor made on the CPU")


def _evaluated(modules: Modules) -> Modules:
    return {name: module.eval() for name, module in modules.items()}


CHECKS = (
    check_the_split_is_not_changed_by_a_pass,
    check_features_are_not_changed_by_a_pass,
    check_evaluation_is_deterministic,
    check_rows_are_independent,
    check_network_follows_device,
)
