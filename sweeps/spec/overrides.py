"""Overrides: what a command line says instead of a spec's file, as ``search.trials=50``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from gatelab.rules import shown, written
from gatelab.sweeps.spec.notation import read_notation
from gatelab.sweeps.spec.spec import SpecError, labelled

Keys = tuple[Any, ...]
"""Of a value, from the outermost section on."""
NULLS = ("null", "Null", "NULL", "~")
"""What null is written as: a value that is left out is a slip of the pen."""
SIGNS = ",:|-"
"""Signs that are a value where they stand alone, as a delimiter does, though not so in YAML."""


def overridden(mapping: Any, overrides: Sequence[str]) -> Any:
    """Return a spec's mapping with other values for some of its keys, which is left as it is.

    Args:
        mapping: As it was read; what is no mapping is returned, for others to refuse.
        overrides: ``key.path=value`` each, the value as a spec has it; what is not there is made.

    Raises:
        SpecError: If they are no list of texts; if one has another form, or leads through a value
            that has no keys; or if two say what one key is, a section having all of its keys.
    """
    seen: list[Keys] = []
    for text in listed_overrides(overrides):
        path, value = _parsed(text, mapping)
        keys = tuple(_keys(mapping if isinstance(mapping, dict) else {}, path))
        for other in seen:
            _check_apart(other, keys, text)
        seen.append(keys)
        if isinstance(mapping, dict):
            mapping = _with(mapping, keys, value, at="")
    return mapping


def listed_overrides(overrides: Any) -> Sequence[str]:
    """Return overrides; one text would be taken for a list of its letters.

    Raises:
        SpecError: If they are no list of texts.
    """
    if isinstance(overrides, list | tuple) and all(isinstance(text, str) for text in overrides):
        return overrides
    instead = f": write [{shown(overrides)}]" if isinstance(overrides, str) else ""
    raise SpecError(
        "", "", f"overrides must be a list of texts, but got {shown(overrides)}{instead}."
    )


def _check_apart(one: Keys, other: Keys, text: str) -> None:
    """Refuse a second override of a key, or of a section of which another says a key."""
    shorter, longer = sorted((one, other), key=len)
    if longer[: len(shorter)] == shorter:
        why = f"is overridden twice, the second time by {written(text)}."
        raise SpecError("", ".".join(map(str, longer)), why)


def _parsed(text: str, mapping: Any) -> tuple[str, Any]:
    end = _end_of_path(text, mapping)
    path, sign, value = text[:end], text[end : end + 1], text[end + 1 :]
    if not (sign and value.strip() and all(key.strip() for key in path.split("."))):
        raise SpecError(
            "", "", f"an override must be like search.trials=50, but got {written(text)}."
        )
    if len(value) == 1 and value in SIGNS:
        return path, value
    try:
        found = read_notation(value)
    except yaml.YAMLError as error:
        why = getattr(error, "problem", None) or str(error)
        raise SpecError("", path, f"broken YAML: {why}, in {written(value)}.") from error
    if found is None and value.strip() not in NULLS:
        raise SpecError("", path, f"has no value, as {written(text)} gives none.")
    return path, found


def _end_of_path(text: str, here: Any) -> int:
    """Return where the first `=` is that is no part of a key, as keys that are there may have it.

    The end of the text where there is none.
    """
    at = 0
    while at < len(text):
        keys = {str(key): value for key, value in here.items()} if isinstance(here, dict) else {}
        fitting = [key for key in keys if text.startswith((f"{key}.", f"{key}="), at)]
        key = max(fitting, key=len, default=re.split("[.=]", text[at:])[0])
        at += len(key)
        if text[at : at + 1] == "=":
            return at
        here, at = keys.get(key), at + 1
    return len(text)


def _keys(mapping: dict[Any, Any], path: str, at: str = "") -> Iterator[Any]:
    """Yield the keys that a path leads through; ``at`` is where the mapping itself is."""
    key, rest = _split(mapping, path)
    yield key
    if rest:
        here = f"{at}.{key}" if at else key
        yield from _keys(_section(mapping.get(key), here), rest, here)


def _with(mapping: dict[Any, Any], keys: Keys, value: Any, at: str) -> dict[Any, Any]:
    """Return a mapping in which a value lies below keys; ``at`` is where the mapping itself is."""
    key, *rest = keys
    if not rest:
        return {**mapping, key: value}
    here = f"{at}.{key}" if at else key
    return {**mapping, key: _with(_section(mapping.get(key), here), tuple(rest), value, here)}


def _split(mapping: dict[Any, Any], path: str) -> tuple[Any, str]:
    """Return a path's first key, the longest that is there, as keys may have dots; and the rest."""
    keys = {str(key): key for key in mapping}
    for start, rest in _cuts(path):
        if start in keys:
            return keys[start], rest
    start, _, rest = path.partition(".")
    return start, rest


def _cuts(path: str) -> Iterator[tuple[str, str]]:
    """Yield every way to cut a path in two at a dot, the longest start first."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        yield ".".join(parts[:count]), ".".join(parts[count:])


def _section(found: Any, path: str) -> dict[Any, Any]:
    """Return what keys can be put into: an empty one, or what a short form stands for."""
    if found is None:
        return {}
    if isinstance(found, dict):
        return found
    if path in ("task", "optimizer") and isinstance(found, str):
        return {"name": found}
    if path == "gates" and isinstance(found, list):
        try:
            return labelled(found)
        except ValueError as error:
            raise SpecError("", path, str(error)) from error
    if path in ("search.early_stopping", "search.require") and found is False:
        return {}
    if re.fullmatch(r"gates\..+\.learner", path) and isinstance(found, str):
        return {"name": found}
    if path.startswith("task.targets.") and isinstance(found, str):
        return {"kind": found}
    raise SpecError("", path, f"is {written(found)}, which has no keys to override.")
