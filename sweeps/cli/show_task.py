"""The command that shows a task: whose its data are, its targets, splits and options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from os.path import exists  # pathlib's raises where a name is too long
from typing import Any

import click

from gatelab.conformance import CheckFailed
from gatelab.foreign import foreign
from gatelab.sweeps.cli.completing import registered
from gatelab.sweeps.cli.console import (
    open_console,
    print_json,
    show_line,
    show_sentences,
    show_text,
    show_trimmed,
)
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.options import json_option
from gatelab.sweeps.cli.rows import show_rows
from gatelab.sweeps.cli.task_options import check_task_options, options_option, task_options
from gatelab.sweeps.spec.space import keyword_defaults
from gatelab.tasks.data_sets.data_set import DataSet
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName, Task, tasks

ROLE = re.compile(r":\w+:`(~?)\.?([\w.]+)`")
"""How a docstring names others: the kind, which nobody need read, and after ``~`` a long way."""
_MOST_TARGETS, _MOST_CLASSES = 20, 6
_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


@click.command("task")
@click.argument("name", shell_complete=registered("task"))
@options_option
@json_option
def show_task(name: str, options: tuple[str, ...], as_json: bool) -> None:
    """Show task NAME: source, targets, splits, options and arguments."""
    try:
        cls, given = tasks.get(name), task_options(options)
        check_task_options(name, given)
    except ValueError as error:
        refuse(error)
    task, why = _made(name, given)
    if as_json:
        print_json(_task_content(name, cls, given, task, why))
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_text(console, inspect.getdoc(cls) or "")
    click.echo()
    show_sentences(console, (f"{what:8} {told}" for what, told in _facts(cls, given)), hang=9)
    if task is None:
        why = f"Its targets and rows are known once it can be made: {why}"
        show_sentences(console, ["", why])
    else:
        _show_data(task)
    _show_arguments("options", cls)
    _show_arguments("model, which a spec may fix or search", cls.network)


def _task_content(
    name: str, cls: type[Task], given: Mapping[str, Any], task: Task | None, why: str
) -> dict[str, Any]:
    """Return what the command shows, for a program."""
    found: dict[str, Any] = {
        "name": name,
        "class": f"{cls.__module__}:{cls.__name__}",
        "text": inspect.getdoc(cls) or "",
        "facts": [list(fact) for fact in _facts(cls, given)],
        "options": _arguments(cls),
        "model": _arguments(cls.network),
        "why_not_made": why,
    }
    if task is not None:
        splits = {split: task.data(split) for split in _SPLITS}
        found["rows"] = {split: len(data.inputs) for split, data in splits.items()}
        found["targets"] = [
            {"name": target.name, "kind": target.kind, "num_classes": target.num_classes}
            for target in task.targets
        ]
    return found


def _made(name: str, given: Mapping[str, Any]) -> tuple[Task | None, str]:
    """Return a task; or why it cannot be made, unless options are given, which are refused then."""
    from gatelab.sweeps.spec.made_task import (
        checked_task,  # here: training takes a second to import
    )
    from gatelab.tasks.check.data import check_shapes

    try:
        task = checked_task(name, given)
        with foreign():
            splits = {split: task.data(split) for split in _SPLITS}
        check_shapes(splits, task.targets)
    except (ValueError, CheckFailed) as error:
        if given:
            refuse(error)
        return None, str(error)
    return task, ""


def _facts(cls: type[Task], given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of a task without its data, each with a word for what it is."""
    if cls.data_sets:
        return [fact for data_set in cls.data_sets for fact in _facts_of_set(data_set)]
    places = [f"{it}{'' if exists(it) else ' (not there)'}" for it in cls.places(**given)]
    words = ["files", *("or" for _ in places)]
    told = [("source", cls.source or "not said"), ("licence", cls.licence or "not said")]
    return [*told, *zip(words, places, strict=False)]


def _facts_of_set(data_set: DataSet) -> list[tuple[str, str]]:
    found = "here" if not data_set.missing else f"not here: gatelab data get {data_set.name}"
    return [
        ("source", data_set.source),
        ("licence", data_set.licence),
        ("files", f"{data_set.folder} ({found})"),
    ]


def _show_data(task: Task) -> None:
    splits = {name: task.data(name) for name in _SPLITS}
    _show_table("splits", ("", "rows", "a row of inputs"), [_row_of(*it) for it in splits.items()])
    known = [_known(split, len(task.targets)) for split in splits.values()]
    rows = [_row_of_target(*it) for it in zip(task.targets, *known, strict=True)]
    columns = ("", "kind", "classes", "weight", *(f"known in {name}" for name in splits))
    _show_table("targets", columns, rows[:_MOST_TARGETS])
    if len(rows) > _MOST_TARGETS:
        click.echo(f"and {len(rows) - _MOST_TARGETS:,} more")
    if task.truth is not None:
        click.echo()
        show_line(f"planted: {len({*task.truth.groups})} groups of targets")
    for line in task.said:
        show_line(line)


def _row_of(name: str, split: Split) -> tuple[str, ...]:
    shape = " x ".join(map(str, split.inputs.shape[1:]))
    weighted = ", weighted" if split.weights is not None else ""
    kind = str(split.inputs.dtype).removeprefix("torch.")
    return name, f"{len(split.inputs):,}", f"{shape} of {kind}{weighted}"


def _known(split: Split, targets: int) -> list[int]:
    """Return in how many rows each target is known."""
    if split.mask is None:
        return [len(split.targets)] * targets
    counts: list[int] = split.mask.sum(0).tolist()
    return counts


def _row_of_target(target: Target, *known: int) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in known)
    return target.name, target.kind, _classes(target), f"{target.weight:g}", *counts


def _classes(target: Target) -> str:
    if target.width > 1:
        names = ", ".join(target.columns[:_MOST_CLASSES])
        more = ", ..." if len(target.columns) > _MOST_CLASSES else ""
        return f"{target.width:,} columns{f': {names}{more}' if names else ''}"
    if target.kind == "regression":
        unit = (target.offset, target.scale)
        return "" if unit == (0, 1) else f"about {unit[0]:.4g}, by {unit[1]:.4g}"
    more = ", ..." if len(target.classes) > _MOST_CLASSES else ""
    names = ", ".join(target.classes[:_MOST_CLASSES]) + more
    return f"{target.num_classes or 2}{f': {names}' if names else ''}"


def _show_arguments(title: str, function: Callable[..., Any]) -> None:
    found = _arguments(function)
    rows = [(str(it["name"]), repr(it["default"]), str(it["what"])) for it in found]
    _show_table(title, ("", "default", ""), rows)


def _arguments(function: Callable[..., Any]) -> list[dict[str, Any]]:
    told = told_arguments(function)
    defaults = keyword_defaults(function).items()
    return [{"name": n, "default": default, "what": told.get(n, "")} for n, default in defaults]


def _show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    click.echo()
    show_rows(columns, rows, title=title)


def told_arguments(function: Callable[..., Any]) -> dict[str, str]:
    """Return what a docstring's ``Args:`` says of each argument; of a class, its constructor's."""
    made = function.__init__ if inspect.isclass(function) else function
    _, _, text = (inspect.getdoc(made) or "").partition("\nArgs:\n")
    block = re.split(r"\n(?=\S)", text)[0]
    entries = re.findall(r"^    (\w+): ((?:.|\n {8})*)", block, re.MULTILINE)
    return {name: _as_read(" ".join(told.split())) for name, told in entries}


def _as_read(told: str) -> str:
    """Return a docstring's words as one reads them: names alone, and code in single marks."""
    named = ROLE.sub(lambda it: f"`{it[2].rpartition('.')[2] if it[1] else it[2]}`", told)
    return named.replace("``", "`")
