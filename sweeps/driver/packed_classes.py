"""Classes that a worker cannot import by their keys: a notebook's, a script's, those handed over.

They go by value to the workers of this machine, as Ray's own functions do; nothing of them is kept
with the sweep, so that a resume in another process needs them defined there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import ModuleType

import cloudpickle

from gatelab.foreign import told
from gatelab.registry import INTERACTIVE
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.sweeps.worker.unpacked_classes import KINDS

_Entry = tuple[str, str, type]  # kind, name and class


def pack_classes(spec: Spec) -> bytes:
    """Return the classes that a sweep needs and no worker can import; empty where there is none.

    Raises:
        SpecError: If one cannot be sent.
    """
    found = list(_entries(spec))
    if not found:
        return b""
    for entry in found:
        try:
            _dumped([entry])
        except Exception as error:  # whatever what it refers to raises
            kind, name, _ = entry
            why = f"{kind} {name!r} cannot be sent to the workers: {told(error)}; let its methods "
            raise SpecError("spec", "", f"{why}make what it refers to.") from error
    return _dumped(found)


def _entries(spec: Spec) -> Iterator[_Entry]:
    """Yield what a spec names that must be sent, and all such metrics and losses."""
    named = {gate.gate.rpartition(":")[2] for gate in spec.gates.values()}
    learning = {gate.learner.name.rpartition(":")[2] for gate in spec.gates.values()}
    wanted = {"gate": named, "learner": learning, "task": {spec.task.name.rpartition(":")[2]}}
    for kind, (registry, _) in KINDS.items():
        for name, cls in registry.interactive().items():
            if name in wanted.get(kind, {name}):
                yield kind, name, cls


def _dumped(entries: Sequence[_Entry]) -> bytes:
    """Pickle by value, classes of modules too: a worker may not find those, nor what they enter."""
    with ExitStack() as stack:
        for module in {cls.__module__ for *_, cls in entries} - {INTERACTIVE}:
            _by_value(sys.modules[module], stack)
        packed: bytes = cloudpickle.dumps(list(entries))
    return packed


def _by_value(module: ModuleType, stack: ExitStack) -> None:
    cloudpickle.register_pickle_by_value(module)
    stack.callback(cloudpickle.unregister_pickle_by_value, module)
