"""Reading a spec: what a file says to a checked spec, or one line that says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gatelab.registry import near_misses
from gatelab.rules import as_line, written
from gatelab.sweeps.spec.check import faults_of
from gatelab.sweeps.spec.notation import is_number, write_inline
from gatelab.sweeps.spec.overrides import listed_overrides, overridden
from gatelab.sweeps.spec.places import found_in
from gatelab.sweeps.spec.sections import HalvingSpec, RequireSpec, SpecPart
from gatelab.sweeps.spec.spec import Fault, Spec, SpecError
from gatelab.sweeps.spec.spec_file import read_spec_file


def load_spec(
    path: str | Path,
    *,
    name: str | None = None,
    resources: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
) -> Spec:
    """Read and check a spec.

    Args:
        path: The YAML file.
        name: The sweep's name, instead of the file's.
        resources: ``cpus`` or ``gpus`` of a job, instead of the file's.
        overrides: ``search.trials=50`` and the like: values instead of the file's, by their path.
        folder: Of results that the spec is of, where the file of a frame lies if it was moved.

    Raises:
        SpecError: If the file cannot be read, or anything in it cannot work; or if one thing is
            said twice beside it.
    """
    source = str(path)
    mapping = read_spec_file(Path(path))
    if name is not None and isinstance(mapping, dict):
        mapping = {"experiment": mapping.get("name"), **mapping}
    try:
        texts = [*listed_overrides(overrides), *_as_overrides(name, resources or {})]
        mapping = overridden(mapping, texts)
    except SpecError as error:
        raise error.at(source) from error
    if folder is not None and isinstance(mapping, dict) and isinstance(mapping.get("task"), dict):
        mapping = {**mapping, "task": found_in(mapping["task"], folder)}
    return parse_spec(mapping, source)


def _as_overrides(name: str | None, resources: Mapping[str, float]) -> Iterator[str]:
    """Yield options as overrides, so that none is undone by what is said of the same key."""
    if name is not None:
        yield f"name={write_inline(name)}"
    for kind, number in resources.items():
        yield f"resources.{kind}={write_inline(number)}"


def parse_spec(mapping: Any, source: str = "spec") -> Spec:
    """Check a spec given as a mapping.

    Raises:
        SpecError: With everything in it that cannot work.
    """
    if not isinstance(mapping, dict):
        what = "is empty" if mapping is None else f"holds {written(mapping)}"
        raise SpecError(source, "", f"must be a mapping of keys to values, but {what}.")
    spec, faults, wrong = _formed(mapping)
    if spec is not None:
        faults += faults_of(spec, wrong)
    if spec is None or faults:
        raise SpecError.of(faults).at(source)
    return spec


def _formed(mapping: dict[Any, Any]) -> tuple[Spec | None, list[Fault], set[str]]:
    """Return a spec, what is wrong with its form, and the sections that are therefore defaults.

    There is no spec where too little of it has a form.
    """
    try:
        return Spec.model_validate(mapping), [], set()
    except ValidationError as error:
        errors = error.errors(include_url=False)
    faults = [(_path(each), _message(each)) for each in errors]
    wrong = {str(each["loc"][0]) for each in errors if each["loc"]}
    rest = {key: value for key, value in mapping.items() if str(key) not in wrong}
    try:
        return Spec.model_validate({"name": "any", **rest}), faults, wrong
    except ValidationError:
        return None, faults, wrong


def _path(error: ErrorDetails) -> str:
    """Return where in the file an error is; names of cases and fields of ours are no part of it."""
    return ".".join(_keys(error)[:-1] if error["type"] == "extra_forbidden" else _keys(error))


_NOT_WRITTEN = {"(halving)", "(requirement)", "(none)", "hyperparameters", "[key]"}


def _keys(error: ErrorDetails) -> list[str]:
    loc = error["loc"]
    loc = (loc[0], *loc[2:]) if loc[:2] == ("task", "options") else loc
    return [str(part) for part in loc if part not in _NOT_WRITTEN]


def _sections() -> dict[str, type[SpecPart]]:
    """Return what has keys of its own, by its path."""
    found: dict[str, type[SpecPart]] = {
        "": Spec,
        "search.early_stopping": HalvingSpec,
        "search.require": RequireSpec,
    }
    for name, field in Spec.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SpecPart):
            found[name] = field.annotation
    return found


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _message(error: ErrorDetails) -> str:
    """Return pydantic's message in the form of all ours."""
    value, context = error["input"], error.get("ctx", {})
    name = _keys(error)[-1] if error["loc"] else ""
    for key, sign in _SIGNS.items():
        if key in context:
            return f"`{name} {sign} {context[key]}` must hold, but got ({name}={written(value)})."
    if error["type"] == "extra_forbidden":
        key, valid = str(error["loc"][-1]), _sections()[_path(error)].model_fields
        return f"unknown key {written(key)}; {near_misses(key, valid)}"
    if error["type"] == "invalid_key":
        return f"a key must be a text: write {written(str(value))} in quotes."
    if error["type"] == "missing":
        return "is required, but missing."
    if error["type"] == "literal_error":
        words = re.findall(r"'([^']+)'", str(context["expected"]))
        near = near_misses(str(value), words)
        return f"must be one of {context['expected']}, but got {written(value)}; {near}"
    if error["type"] == "string_pattern_mismatch":
        rule = "must be letters, digits and `_.-`, the first no sign"
        return f"{rule}, but got {written(value)}{_labelled(error, str(value))}."
    if error["type"] == "string_too_long":
        most = context["max_length"]
        return f"must have {most} characters at most, but has {len(value)}: {written(value)}."
    if error["type"] == "string_type":
        what = "write one" if value is None else "write it in quotes"
        instead = "" if isinstance(value, (list, dict)) else f": {what}"
        return f"must be a text, but got {written(value)}{instead}."
    if error["type"] == "tuple_type" and isinstance(value, str):
        return f"must be a list, but got {written(value)}: write [{as_line(value, 60)}]."
    if error["type"] == "value_error":
        return str(context["error"])
    message = error["msg"].removeprefix("Input should be ").replace("tuple", "list")
    message = message.replace("a valid integer", "an integer").replace("a valid ", "a ")
    return f"must be {message}, but got {written(value)}{_instead(value)}."


def _labelled(error: ErrorDetails, value: str) -> str:
    """Return how to write what stands for a gate's label, if it is the key of a class."""
    module, _, name = value.partition(":")
    if not (module and name.isidentifier() and error["loc"][:1] == ("gates",)):
        return ""
    return f": a class has a label, {name}: {{gate: {written(value)}}}"


def _instead(value: Any) -> str:
    """Return what to write for a number that has the wrong form."""
    if isinstance(value, float) and value.is_integer():
        return f": write {int(value)}"
    return ": write it without quotes" if isinstance(value, str) and is_number(value) else ""
