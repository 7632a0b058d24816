"""The command that lists what is registered, at once where no other package registers anything."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import entry_points, packages_distributions
from os.path import exists  # pathlib's raises where a name is too long
from typing import Any, NamedTuple

import click

from gatelab.data_folder import data_folder
from gatelab.listing import RegisteredClass, read_registered
from gatelab.registry import Registry, near_misses
from gatelab.sweeps.cli.console import print_json, show_line
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.error_lines import show_warning
from gatelab.sweeps.cli.options import json_option
from gatelab.sweeps.cli.rows import show_rows

LISTS = {"gates": "gate", "tasks": "task", "metrics": "metric", "learners": "learner"}


class ListedClass(NamedTuple):
    """A class that is registered, as it is listed."""

    name: str
    line: str
    """The first of its docstring."""
    package: str
    """That it comes from; empty for ours."""
    files: str
    """``here`` or ``not here``: those that a task reads; empty if it reads none."""


@click.command("list")
@click.argument(
    "what", metavar="{gates|tasks|metrics|learners}", shell_complete=lambda *_: [*LISTS]
)
@json_option
def list_(what: str, as_json: bool) -> None:
    """List the registered gates, tasks, metrics or learners."""
    if what not in LISTS:
        refuse(
            f"what to list must be {', '.join(LISTS)}, but got {what!r}; {near_misses(what, LISTS)}"
        )
    found = _read(what)
    entries, broken = _loaded(what) if found is None else (found, [])
    if as_json:
        print_json([entry._asdict() for entry in entries])
    else:
        _show(entries)
    for why in broken:
        show_warning(why)


def _show(entries: list[ListedClass]) -> None:
    show_rows(("name", "", "", ""), entries, header=False)
    if any(entry.files == "not here" for entry in entries):
        click.echo()
        show_line("What a task reads and is not here, `gatelab data get TASK` downloads.")


def _read(what: str) -> list[ListedClass] | None:
    """Return what our sources say; ``None`` where only the registries know."""
    if entry_points(group=f"gatelab.{what}"):
        return None
    found = read_registered(LISTS[what])
    if any(map(_may_be_here, found)):
        return None
    return [
        ListedClass(one.name, one.line, "", "not here" if one.data_sets else "") for one in found
    ]


def _may_be_here(one: RegisteredClass) -> bool:
    return any(exists(data_folder() / name) for name in one.data_sets)


def _loaded(what: str) -> tuple[list[ListedClass], list[str]]:
    """Return what the registries have, and what of other packages cannot be loaded."""
    from gatelab.gates.gate import gates  # here: torch takes a second to import
    from gatelab.tasks.metric import metrics
    from gatelab.tasks.task import tasks
    from gatelab.training.learners import learners

    registries: dict[str, Registry[Any]] = {
        "gates": gates,
        "tasks": tasks,
        "metrics": metrics,
        "learners": learners,
    }
    registry = registries[what]
    return list(_entries(registry)), list(registry.broken.values())


def _entries(registry: Registry[object]) -> Iterator[ListedClass]:
    for name in registry.names():
        cls = registry.get(name)
        line = (inspect.getdoc(cls) or "").partition("\n")[0]
        sets = getattr(cls, "data_sets", ())
        missing = any(one.missing for one in sets)
        yield ListedClass(
            name, line, _package(cls), ("not here" if missing else "here") if sets else ""
        )


def _package(cls: type) -> str:
    """Return the package that a class comes from; nothing for ours."""
    top = cls.__module__.partition(".")[0]
    if top == "gatelab":
        return ""
    return ", ".join(packages_distributions().get(top, [])) or cls.__module__


COMMANDS: tuple[click.Command, ...] = (list_,)
