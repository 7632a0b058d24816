"""The command that writes a package or a spec to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gatelab.gates.gate import gates
from gatelab.registry import Registry
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.new_package import write_package
from gatelab.sweeps.cli.new_sweep import new_sweep
from gatelab.sweeps.cli.rows import show_commands
from gatelab.tasks.task import tasks
from gatelab.training.learners import learners


@click.group()
def new() -> None:
    """Start a sweep of a table, or a package of a gate, task or learner."""


new.add_command(new_sweep)


@new.command("gate")
@click.argument("name")
def new_gate(name: str) -> None:
    """Write a folder NAME: a gate, its test, a README."""
    _write(
        gates,
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
    _write(
        tasks,
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
    _write(
        learners,
        name,
        {
            f"gatelab check learner {name}:{name}": f"it passes; change {name}.py, and check again",
            "pip install .": f"from then on every spec can say {name}",
        },
    )


def _write(registry: Registry[Any], name: str, steps: dict[str, str]) -> None:
    """Write a package here, and say what comes next."""
    try:
        folder = write_package(registry, name, Path.cwd())
    except ValueError as error:
        refuse(error)
    except OSError as error:
        refuse(f"{error.filename or name} cannot be written: {error.strerror or error}.")
    click.echo(f"{folder.name}/ is written. Next:\n")
    show_commands({f"cd {name}": "", **steps})


COMMANDS: tuple[click.Command, ...] = (new,)
