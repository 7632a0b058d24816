"""Options of a task on the command line: ``--option NAME=VALUE``, given several times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
from yaml import YAMLError

from gatelab.registry import near_misses
from gatelab.rules import shown
from gatelab.sweeps.spec.notation import read_notation
from gatelab.sweeps.spec.space import keyword_defaults
from gatelab.tasks.task import tasks

options_option = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the task, its value as in a spec; may be given several times.",
)


def task_options(texts: Iterable[str]) -> dict[str, Any]:
    """Return options by name; lists and mappings of one name are joined.

    Raises:
        ValueError: If one is no ``NAME=VALUE``, no spec can have its value, or it is given twice
            with values that cannot be joined.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"`--option` must be NAME=VALUE, but got {shown(text)}.")
        given = _read(name, value)
        found[name] = _joined(name, found[name], given) if name in found else given
    return found


def _read(name: str, value: str) -> Any:
    try:
        return read_notation(value)
    except YAMLError as error:
        why = getattr(error, "problem", None) or error
        raise ValueError(f"`--option {name}=`: {shown(value)} is broken YAML: {why}.") from error


def _joined(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **other}
    raise ValueError(f"`--option {name}=` is given twice: {shown(one)} and {shown(other)}.")


def check_task_options(key: str, given: Mapping[str, Any]) -> None:
    """Check that a task has the options that are given.

    Raises:
        ValueError: If it has not.
    """
    valid = keyword_defaults(tasks.get(key))
    for name in given:
        if name not in valid:
            raise ValueError(f"task {key!r} has no option {name!r}; {near_misses(name, valid)}")
