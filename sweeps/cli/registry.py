"""The commands about what is registered: list, show, check, new."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import click
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from rich.table import Table

from gatelab.gates.gate import Gate, gates
from gatelab.registry import Registry
from gatelab.sweeps.cli.new_gate import write_gate
from gatelab.sweeps.cli.new_sweep import new_sweep
from gatelab.sweeps.cli.new_task import write_task
from gatelab.sweeps.cli.show_task import show_task
from gatelab.sweeps.cli.task_options import check_task_options, options_option, task_options
from gatelab.sweeps.cli.terminal import FAILED, open_console, refuse
from gatelab.sweeps.spec.space import gate_defaults, keyword_defaults
from gatelab.tasks.metric import Metric, metrics
from gatelab.tasks.task import Task, tasks

REGISTRIES: dict[str, Registry[Any]] = {"gates": gates, "tasks": tasks, "metrics": metrics}


@click.command("list")
@click.argument("what", type=click.Choice(list(REGISTRIES)))
def list_(what: str) -> None:
    """List the registered gates, tasks or metrics."""
    registry = REGISTRIES[what]
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in registry.names():
        cls = registry.get(name)
        table.add_row(f"[bold]{name}[/]", _first_line(cls), _origin(cls), _files_here(cls))
    open_console().print(table)
    if any(_files_here(registry.get(name)) == "not here" for name in registry.names()):
        click.echo("\nWhat a task reads and is not here, `gatelab data get TASK` downloads.")
    for why in registry.broken.values():
        click.echo(f"gatelab: {why}", err=True)


@click.group()
def show() -> None:
    """Show what is registered."""


@show.command("gate")
@click.argument("name")
def show_gate(name: str) -> None:
    """Show gate NAME: its source, hyperparameters and search space."""
    cls: type[Gate] = _get(gates, name)
    console = open_console()
    console.print(f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    click.echo(inspect.getdoc(cls) or "")
    table = Table(title="hyperparameters", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "default", "searched, where a spec names none"):
        table.add_column(column)
    for key, default in _own_first(cls).items():
        table.add_row(key, repr(default), _searched(cls.search_space.get(key)))
    console.print()
    console.print(table)
    for check, why in cls.expected_failed_checks.items():
        click.echo(f"\nFails the check {check}: {why}.")


show.add_command(show_task)


@show.command("metric")
@click.argument("name")
def show_metric(name: str) -> None:
    """Show metric NAME: what it is, for which targets, its direction."""
    cls: type[Metric] = _get(metrics, name)
    open_console().print(f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    click.echo(inspect.getdoc(cls) or "")
    click.echo(f"\nOf {' and '.join(cls.kinds)} targets; {_better(cls)} is better.")


def _better(cls: type[Metric]) -> str:
    return "more" if cls.higher_is_better else "less"


@click.group()
def check() -> None:
    """Run the conformance suite over a gate or a task."""


@check.command("gate")
@click.argument("key")
def check_gate(key: str) -> None:
    """Check gate KEY: a registered name, or "package.module:name"."""
    from gatelab.gates.check import run_checks

    _report(key, lambda: run_checks(_get(gates, key)))


@check.command("task")
@click.argument("key")
@options_option
def check_task(key: str, options: tuple[str, ...]) -> None:
    """Check task KEY: a registered name, or "package.module:name"."""
    from gatelab.sweeps.spec.check import checked_task
    from gatelab.tasks.check import run_checks

    cls = _get(tasks, key)
    try:
        given = task_options(options)
        check_task_options(key, given)
        checked_task(
            key, given
        )  # so that what it refuses is one line, not the finding of every check
    except ValueError as error:
        refuse(error)
    _report(key, lambda: run_checks(cls, **given))


@click.group()
def new() -> None:
    """Start a sweep of your table, or a package of your gate or task."""


new.add_command(new_sweep)


@new.command("gate")
@click.argument("name")
def new_gate(name: str) -> None:
    """Write a folder NAME: a gate, its test, a README."""
    _write_package(
        write_gate,
        name,
        {
            f"gatelab check gate {name}:{name}": f"it passes; change {name}.py, and check again",
            "pip install .": f"from then on every spec can say {name}",
        },
    )


@new.command("task")
@click.argument("name")
def new_task(name: str) -> None:
    """Write a folder NAME: a task, its test, a spec, a README."""
    _write_package(
        write_task,
        name,
        {
            f"gatelab launch {name}.yaml": "it trains as it is, and ends with a table of the gates",
            f"gatelab check task {name}:{name}": f"it passes; change {name}.py, and check again",
        },
    )


def _write_package(write: Callable[[str, Path], Path], name: str, steps: dict[str, str]) -> None:
    """Write a package here, and say what comes next."""
    try:
        folder = write(name, Path.cwd())
    except ValueError as error:
        refuse(error)
    steps = {f"cd {name}": "", **steps}
    width = max(map(len, steps))
    click.echo(f"{folder.name}/ is written. Next:\n")
    for step, why in steps.items():
        click.echo(f"  {step:{width}}  # {why}" if why else f"  {step}")


def _get(registry: Registry[Any], key: str) -> Any:
    try:
        return registry.get(key)
    except ValueError as error:
        refuse(error)


def _report(key: str, run: Callable[[], Any]) -> None:
    """Print a line a check; end with 1 if any failed."""
    outcomes = run()
    for outcome in outcomes:
        sign = "ok  " if outcome.ok else "FAIL"
        reason = f": {outcome.reason}" if outcome.reason else ""
        click.echo(f"{sign}  {outcome.check}{reason}")
    failed = sum(not outcome.ok for outcome in outcomes)
    click.echo(f"\n{key}: {len(outcomes) - failed} of {len(outcomes)} checks pass.")
    if failed:
        sys.exit(FAILED)


def _own_first(cls: type[Gate]) -> dict[str, Any]:
    return {**keyword_defaults(cls), **gate_defaults(cls)}


def _searched(distribution: BaseDistribution | None) -> str:
    """Return a distribution as a spec would write it."""
    if distribution is None:
        return ""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return f"{distribution.low:g} to {distribution.high:g}" + (", log" if distribution.log else "")


def _origin(cls: type[Gate] | type[Task] | type[Metric]) -> str:
    """Return the package that a class comes from; nothing for ours."""
    top = cls.__module__.partition(".")[0]
    if top == "gatelab":
        return ""
    return ", ".join(packages_distributions().get(top, [])) or cls.__module__


def _files_here(cls: type) -> str:
    """Return whether the files that a task reads are on this machine; nothing if it reads none."""
    data_sets = cls.data_sets if issubclass(cls, Task) else ()
    return ("not here" if any(it.missing for it in data_sets) else "here") if data_sets else ""


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


COMMANDS: tuple[click.Command, ...] = (list_, show, check, new)
