"""The commands about what is registered: show, check, new."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import click
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from rich.table import Table

from gatelab.conformance import Outcome
from gatelab.gates.auxiliary import AuxiliaryLosses
from gatelab.gates.gate import Gate, gates
from gatelab.registry import Registry
from gatelab.sweeps.cli.completing import registered
from gatelab.sweeps.cli.new_gate import write_gate
from gatelab.sweeps.cli.new_learner import write_learner
from gatelab.sweeps.cli.new_sweep import new_sweep
from gatelab.sweeps.cli.new_task import write_task
from gatelab.sweeps.cli.show_task import show_task, told_arguments
from gatelab.sweeps.cli.task_options import check_task_options, options_option, task_options
from gatelab.sweeps.cli.terminal import (
    FAILED,
    json_option,
    open_console,
    print_json,
    refuse,
    show_sentences,
    show_trimmed,
)
from gatelab.sweeps.spec.space import gate_defaults, keyword_defaults
from gatelab.tasks.metric import Metric, metrics
from gatelab.tasks.task import tasks
from gatelab.training.learners import Learner, learners


@click.group()
def show() -> None:
    """Show what is registered."""


@show.command("gate")
@click.argument("name", shell_complete=registered("gate"))
@json_option
def show_gate(name: str, as_json: bool) -> None:
    """Show gate NAME: its source, hyperparameters and search space."""
    cls: type[Gate] = _get(gates, name)
    if as_json:
        print_json(_gate_content(name, cls))
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_sentences(console, (inspect.getdoc(cls) or "").splitlines())
    table = Table(title="hyperparameters", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "default", "searched, where a spec names none", "what it is"):
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "default"))
    for one in _hyperparameters(cls):
        table.add_row(*(it.replace("[", "\\[") for it in one._replace(default=repr(one.default))))
    console.print()
    show_trimmed(console, table)
    for check, why in cls.expected_failed_checks.items():
        console.print()
        show_sentences(console, [f"Fails the check {check}: {why}."])


class Described(NamedTuple):
    """A hyperparameter of a gate."""

    name: str
    default: Any
    searched: str
    """Its search space, as a spec would write it."""
    what: str
    """What its constructor's docstring says of it."""


def _hyperparameters(cls: type[Gate]) -> list[Described]:
    told = told_arguments(AuxiliaryLosses) | told_arguments(cls)
    return [
        Described(name, default, _searched(cls.search_space.get(name)), told.get(name, ""))
        for name, default in _own_first(cls).items()
    ]


def _gate_content(name: str, cls: type[Gate]) -> dict[str, Any]:
    return {
        **_content(name, cls),
        "role": cls.role,
        "hyperparameters": [one._asdict() for one in _hyperparameters(cls)],
        "expected_failed_checks": dict(cls.expected_failed_checks),
    }


def _content(name: str, cls: type) -> dict[str, Any]:
    where = f"{cls.__module__}:{cls.__name__}"
    return {"name": name, "class": where, "text": inspect.getdoc(cls) or ""}


show.add_command(show_task)


@show.command("metric")
@click.argument("name", shell_complete=registered("metric"))
@json_option
def show_metric(name: str, as_json: bool) -> None:
    """Show metric NAME: what it is, for which targets, its direction."""
    cls: type[Metric] = _get(metrics, name)
    if as_json:
        more = {"kinds": cls.kinds, "higher_is_better": cls.higher_is_better}
        print_json({**_content(name, cls), **more})
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_sentences(console, (inspect.getdoc(cls) or "").splitlines())
    click.echo(f"\nOf {' and '.join(cls.kinds)} targets; {_better(cls)} is better.")


@show.command("learner")
@click.argument("name", shell_complete=registered("learner"))
@json_option
def show_learner(name: str, as_json: bool) -> None:
    """Show learner NAME: source, hyperparameters, what it records."""
    cls: type[Learner] = _get(learners, name)
    if as_json:
        own = [{"name": n, **each._asdict()} for n, each in cls.hyperparameters.items()]
        more = {"hyperparameters": own, "diagnostics": dict(cls.diagnostics), "agents": cls.agents}
        print_json({**_content(name, cls), **more})
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_sentences(console, (inspect.getdoc(cls) or "").splitlines())
    options = {n: (repr(each.default), each.what) for n, each in cls.hyperparameters.items()}
    _show_rows("hyperparameters", ("name", "default", "what it is"), options)
    found = {f"learner/{n}": (what,) for n, what in cls.diagnostics.items()}
    _show_rows("recorded", ("name", "what it is"), found)


def _show_rows(title: str, columns: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> None:
    """Print a table, if it has any row, after an empty line."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "default"))
    for name, cells in rows.items():
        table.add_row(name, *(cell.replace("[", "\\[") for cell in cells))
    click.echo()
    show_trimmed(open_console(), table)


def _better(cls: type[Metric]) -> str:
    return "more" if cls.higher_is_better else "less"


@click.group()
def check() -> None:
    """Run the conformance suite over a gate, a task or a learner."""


@check.command("gate")
@click.argument("key", shell_complete=registered("gate"))
@json_option
def check_gate(key: str, as_json: bool) -> None:
    """Check gate KEY: a registered name, or "package.module:name"."""
    from gatelab.gates.check import run_checks

    _report(key, lambda: run_checks(_get(gates, key)), as_json)


@check.command("task")
@click.argument("key", shell_complete=registered("task"))
@options_option
@json_option
def check_task(key: str, options: tuple[str, ...], as_json: bool) -> None:
    """Check task KEY: a registered name, or "package.module:name"."""
    from gatelab.sweeps.spec.made_task import checked_task
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
    _report(key, lambda: run_checks(cls, **given), as_json)


@check.command("learner")
@click.argument("key", shell_complete=registered("learner"))
@json_option
def check_learner(key: str, as_json: bool) -> None:
    """Check learner KEY: a registered name, or "package.module:name"."""
    from gatelab.training.learner_checks import run_checks

    _get(learners, key)
    _report(key, lambda: run_checks(key), as_json)


@click.group()
def new() -> None:
    """Start a sweep of a table, or a package of a gate, task or learner."""


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


@new.command("learner")
@click.argument("name")
def new_learner(name: str) -> None:
    """Write a folder NAME: a learner, its test, a README."""
    _write_package(
        write_learner,
        name,
        {
            f"gatelab check learner {name}:{name}": f"it passes; change {name}.py, and check again",
            "pip install .": f"from then on every spec can say {name}",
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


def _report(key: str, run: Callable[[], list[Outcome]], as_json: bool) -> None:
    """Print a line a check; end with 1 if any failed."""
    outcomes = run()
    failed = sum(not outcome.ok for outcome in outcomes)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            sign = "ok  " if outcome.ok else "FAIL"
            reason = f": {outcome.reason}" if outcome.reason else ""
            click.echo(f"{sign}  {outcome.check}{reason}")
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


COMMANDS: tuple[click.Command, ...] = (show, check, new)
