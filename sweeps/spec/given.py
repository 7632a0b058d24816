"""What a caller gives as a spec: a file, a mapping, which may have classes in it, or a spec."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isclass
from pathlib import Path
from typing import Any

from gatelab.foreign import is_ours
from gatelab.gates.gate import Gate, gates
from gatelab.registry import Registry
from gatelab.rules import shown
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.metric import Metric, metrics
from gatelab.tasks.task import Task, tasks
from gatelab.training.learners import DEFAULT, Learner, learners

GivenSpec = str | Path | Mapping[str, Any] | Spec
"""A file's path, a spec's content, or a spec."""


def spec_of(given: GivenSpec) -> Spec:
    """Return a checked spec.

    Args:
        given: The path of a YAML file; a mapping with what the file would hold, in which a class
            may stand for its key; or a spec.

    Raises:
        SpecError: If the file cannot be read, or anything in it cannot work.
    """
    if isinstance(given, Spec):
        return given
    if isinstance(given, (str, Path)):
        return load_spec(given)
    if isinstance(given, Mapping):
        return parse_spec(with_keys(given))
    raise SpecError("spec", "", f"must be a path, a mapping or a Spec, but got {shown(given)}.")


def with_keys(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec's mapping with keys in place of the classes of gates, task and metrics.

    Raises:
        SpecError: If one is no subclass of what it stands for, or its name is another's.
    """
    found = dict(mapping)
    if "task" in found:
        found["task"] = _task(found["task"])
    if "gates" in found:
        found["gates"] = _gates(found["gates"])
    if isinstance(found.get("metrics"), (list, tuple)):
        found["metrics"] = [_key("metrics", metrics, Metric, each) for each in found["metrics"]]
    return found


def _task(given: Any) -> Any:
    if any(map(_is_frame, given.values() if isinstance(given, Mapping) else (given,))):
        text = "a frame is given as `gatelab.tasks.Table(frame, targets={...})`, with its options."
        raise SpecError("spec", "task", text)
    if isinstance(given, Mapping):
        return {**given, "name": _key("task", tasks, Task, given.get("name"))}
    return _key("task", tasks, Task, given)


def _is_frame(given: Any) -> bool:
    """Return whether it is rows and columns, of pandas, polars, pyarrow or NumPy."""
    shape = None if isclass(given) else getattr(given, "shape", None)
    return isinstance(shape, tuple) and len(shape) == 2


def _gates(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {label: _gate(f"gates.{label}", entry) for label, entry in given.items()}
    if isinstance(given, (list, tuple)):
        return [_key("gates", gates, Gate, each) for each in given]
    return given


def _gate(path: str, entry: Any) -> Any:
    if isclass(entry):
        return {"gate": _key(path, gates, Gate, entry)}
    if not isinstance(entry, Mapping):
        return entry
    named: dict[str, tuple[Registry[Any], type]] = {
        "gate": (gates, Gate),
        "learner": (learners, Learner),
    }
    found = {key: _key(path, *of, entry[key]) for key, of in named.items() if key in entry}
    if isinstance(learner := entry.get("learner"), Mapping):
        key = _key(f"{path}.learner", learners, Learner, learner.get("name", DEFAULT))
        found["learner"] = {**learner, "name": key}
    return {**entry, **found}


def _key(path: str, registry: Registry[Any], base: type, given: Any) -> Any:
    """Return the key of a class, which is handed to its registry; anything else as it is."""
    if not isclass(given):
        return given
    try:
        name = registry.hand(given, base)
    except ValueError as error:
        raise SpecError("spec", path, str(error)) from error
    return name if is_ours(given) else f"{given.__module__}:{name}"
