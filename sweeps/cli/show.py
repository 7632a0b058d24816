"""The command that shows what is registered."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gatelab.gates.auxiliary import AuxiliaryLosses, make_gate
from gatelab.gates.gate import Gate, gates
from gatelab.sweeps.cli.completing import registered
from gatelab.sweeps.cli.console import (
    open_console,
    print_json,
    show_line,
    show_sentences,
    show_text,
    show_trimmed,
)
from gatelab.sweeps.cli.named import registered_class
from gatelab.sweeps.cli.options import json_option
from gatelab.sweeps.cli.rows import show_rows
from gatelab.sweeps.cli.show_task import show_task, told_arguments
from gatelab.sweeps.spec.space import gate_defaults, keyword_defaults
from gatelab.tasks.metric import Metric, metrics
from gatelab.training.learners import Learner, learners

SEARCHED = "searched, where a spec names none"
NARROW = 72
"""Characters of a line below which a table of four columns breaks words."""


@click.group()
def show() -> None:
    """Show what is registered."""


@show.command("gate")
@click.argument("name", shell_complete=registered("gate"))
@json_option
def show_gate(name: str, as_json: bool) -> None:
    """Show gate NAME: its source, hyperparameters and search space."""
    cls: type[Gate] = registered_class(gates, name)
    if as_json:
        print_json(_gate_content(name, cls))
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_text(console, inspect.getdoc(cls) or "")
    _show_hyperparameters(cls, narrow=console.width < NARROW)
    for check, why in cls.expected_failed_checks.items():
        console.print()
        show_sentences(console, [f"Fails the check {check}: {why}."])


def _show_hyperparameters(cls: type[Gate], *, narrow: bool) -> None:
    """Print a gate's hyperparameters; a narrow console has no room for a column of spaces."""
    found = _hyperparameters(cls)
    if narrow:
        spaces = {it.name: f" Searched: {it.searched}." if it.searched else "" for it in found}
        told = {it.name: (repr(it.default), it.what + spaces[it.name]) for it in found}
        _show_rows("hyperparameters", ("name", "default", "what it is"), told)
        return
    rows = {it.name: (repr(it.default), it.searched, it.what) for it in found}
    _show_rows("hyperparameters", ("name", "default", SEARCHED, "what it is"), rows)


class Described(NamedTuple):
    """A hyperparameter of a gate."""

    name: str
    default: Any
    searched: str
    """Its search space, as a spec would write it."""
    what: str
    """What its constructor's docstring says of it."""


def _hyperparameters(cls: type[Gate]) -> list[Described]:
    told = told_arguments(make_gate) | told_arguments(AuxiliaryLosses) | told_arguments(cls)
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
    cls: type[Metric] = registered_class(metrics, name)
    if as_json:
        more = {"kinds": cls.kinds, "higher_is_better": cls.higher_is_better}
        print_json({**_content(name, cls), **more})
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_text(console, inspect.getdoc(cls) or "")
    click.echo()
    show_line(f"Of {' and '.join(cls.kinds)} targets; {_better(cls)} is better.")


@show.command("learner")
@click.argument("name", shell_complete=registered("learner"))
@json_option
def show_learner(name: str, as_json: bool) -> None:
    """Show learner NAME: source, hyperparameters, what it records."""
    cls: type[Learner] = registered_class(learners, name)
    if as_json:
        own = [{"name": n, **each._asdict()} for n, each in cls.hyperparameters.items()]
        more = {"hyperparameters": own, "diagnostics": dict(cls.diagnostics), "agents": cls.agents}
        print_json({**_content(name, cls), **more})
        return
    console = open_console()
    show_trimmed(console, f"[bold]{name}[/]  {cls.__module__}:{cls.__name__}\n")
    show_text(console, inspect.getdoc(cls) or "")
    options = {n: (repr(each.default), each.what) for n, each in cls.hyperparameters.items()}
    _show_rows("hyperparameters", ("name", "default", "what it is"), options)
    found = {f"learner/{n}": (what,) for n, what in cls.diagnostics.items()}
    _show_rows("recorded", ("name", "what it is"), found)


def _show_rows(title: str, columns: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> None:
    """Print a table, if it has any row, after an empty line."""
    if not rows:
        return
    click.echo()
    show_rows(columns, [(name, *cells) for name, cells in rows.items()], title=title)


def _better(cls: type[Metric]) -> str:
    return "more" if cls.higher_is_better else "less"


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


COMMANDS: tuple[click.Command, ...] = (show,)
