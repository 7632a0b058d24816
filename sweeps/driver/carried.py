"""Classes that a worker cannot import by their keys: a notebook's, a script's, those handed over.

They go by value to the workers of this machine, as Ray's own functions do; nothing of them is kept
with the sweep, so that a resume in another process needs them defined there.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import cloudpickle

from gatelab.foreign import told
from gatelab.gates.gate import Gate, gates
from gatelab.registry import INTERACTIVE, Registry
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.loss import Loss, losses
from gatelab.tasks.metric import Metric, metrics
from gatelab.tasks.task import Task, tasks

_KINDS: dict[str, tuple[Registry[Any], type]] = {
    "gate": (gates, Gate),
    "task": (tasks, Task),
    "metric": (metrics, Metric),
    "loss": (losses, Loss),
}
"""The registries, each with the class of what it holds."""
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


def unpack_classes(packed: bytes) -> None:
    """Enter the classes of :func:`pack_classes` into this process's registries."""
    for kind, name, cls in pickle.loads(packed) if packed else ():
        registry, base = _KINDS[kind]
        registry.register(name, base)(cls)
        registry.handed.add(name)


def _entries(spec: Spec) -> Iterator[_Entry]:
    """Yield the gates and the task of a spec that must be sent, and all such metrics and losses."""
    named = {gate.gate.rpartition(":")[2] for gate in spec.gates.values()}
    wanted = {"gate": named, "task": {spec.task.name.rpartition(":")[2]}}
    for kind, (registry, _) in _KINDS.items():
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
