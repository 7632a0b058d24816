"""Reading a spec: a file's text to a checked spec, or one line that says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gatelab.registry import near_misses
from gatelab.sweeps.spec.check import check_spec
from gatelab.sweeps.spec.spec import Spec, SpecError


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with YAML 1.2's numbers, and without keys that silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, Hashable) else None)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 reads `1e-3` as a text, because it has no dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    "-+0123456789",
)


def load_spec(
    path: str | Path, *, name: str | None = None, resources: Mapping[str, float] | None = None
) -> Spec:
    """Read and check a spec.

    Args:
        path: The YAML file.
        name: The sweep's name, instead of the file's.
        resources: ``cpus`` or ``gpus`` of a job, instead of the file's.

    Raises:
        SpecError: If the file cannot be read, or anything in it cannot work.
    """
    source = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(source, "", f"must be UTF-8 text, but {error}.") from error
    except OSError as error:
        raise SpecError(source, "", _why_unreadable(Path(path), error)) from error
    mapping = _read_yaml(text, source)
    if name is not None and isinstance(mapping, dict):
        mapping = {"experiment": mapping.get("name"), **mapping, "name": name}
    if resources and isinstance(mapping, dict):
        mapping = {**mapping, "resources": {**(mapping.get("resources") or {}), **resources}}
    return parse_spec(mapping, source)


def parse_spec(mapping: Any, source: str = "spec") -> Spec:
    """Check a spec given as a mapping.

    Raises:
        SpecError: If anything in it cannot work.
    """
    if not isinstance(mapping, dict):
        what = "is empty" if mapping is None else f"holds {mapping!r}"
        raise SpecError(source, "", f"must be a mapping of keys to values, but {what}.")
    try:
        spec = Spec.model_validate(mapping)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise SpecError(source, _path(errors[0]), _message(errors[0]) + more) from None
    try:
        check_spec(spec)
    except SpecError as error:
        raise SpecError(source, error.path, error.message) from None
    return spec


def _read_yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(source, where, f"broken YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise SpecError(source, "", f"broken YAML: {error}.") from error


def _why_unreadable(path: Path, error: OSError) -> str:
    if path.is_dir():
        return "is a folder, not a spec file."
    if isinstance(error, FileNotFoundError):
        siblings = (
            sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        )
        return f"no such file; {near_misses(path.name, siblings)}"
    return f"cannot be read: {error.strerror}."


def _path(error: ErrorDetails) -> str:
    """Return where in the file an error is; names of classes in unions are no part of it."""
    inside = [
        str(part) for part in error["loc"] if not str(part).startswith(("function-", "literal"))
    ]
    return ".".join(
        part for part in inside if part not in {"HalvingSpec", "hyperparameters", "[key]"}
    )


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _message(error: ErrorDetails) -> str:
    """Return pydantic's message in the form of all ours."""
    value, context = error["input"], error.get("ctx", {})
    name = _path(error).rpartition(".")[2]
    for key, sign in _SIGNS.items():
        if key in context:
            return f"`{name} {sign} {context[key]}` must hold, but got ({name}={value!r})."
    if error["type"] == "missing":
        return "is required, but missing."
    if error["type"] == "literal_error":
        valid = re.findall(r"'([^']+)'", str(context["expected"]))
        near = near_misses(str(value), valid)
        return f"must be one of {context['expected']}, but got {value!r}; {near}"
    if error["type"] == "string_pattern_mismatch":
        return f"must be letters, digits and `_.-`, the first no sign, but got {value!r}."
    if error["type"] == "value_error":
        return str(context["error"])
    message = error["msg"].removeprefix("Input should be ").replace("tuple", "list")
    return f"must be {message}, but got {value!r}."
