"""The command that runs a conformance suite."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict

import click

from gatelab.conformance import Outcome
from gatelab.gates.gate import gates
from gatelab.sweeps.cli.completing import registered
from gatelab.sweeps.cli.console import print_json, show_finding, show_line
from gatelab.sweeps.cli.ending import FAILED, refuse
from gatelab.sweeps.cli.named import registered_class
from gatelab.sweeps.cli.options import json_option
from gatelab.sweeps.cli.task_options import check_task_options, options_option, task_options
from gatelab.tasks.task import tasks
from gatelab.training.learners import learners


@click.group()
def check() -> None:
    """Run the conformance suite over a gate, a task or a learner."""


@check.command("gate")
@click.argument("key", shell_complete=registered("gate"))
@json_option
def check_gate(key: str, as_json: bool) -> None:
    """Check gate KEY: a registered name, or "package.module:name"."""
    from gatelab.gates.check import run_checks

    _report(key, lambda: run_checks(registered_class(gates, key)), as_json)


@check.command("task")
@click.argument("key", shell_complete=registered("task"))
@options_option
@json_option
def check_task(key: str, options: tuple[str, ...], as_json: bool) -> None:
    """Check task KEY: a registered name, or "package.module:name"."""
    from gatelab.sweeps.spec.made_task import checked_task
    from gatelab.tasks.check import run_checks

    cls = registered_class(tasks, key)
    try:
        given = task_options(options)
        check_task_options(key, given)
        checked_task(key, given)  # what it refuses is one line, not a finding of every check
    except ValueError as error:
        refuse(error)
    _report(key, lambda: run_checks(cls, **given), as_json)


@check.command("learner")
@click.argument("key", shell_complete=registered("learner"))
@json_option
def check_learner(key: str, as_json: bool) -> None:
    """Check learner KEY: a registered name, or "package.module:name"."""
    from gatelab.training.learner_checks import run_checks

    registered_class(learners, key)
    _report(key, lambda: run_checks(key), as_json)


def _report(key: str, run: Callable[[], list[Outcome]], as_json: bool) -> None:
    """Print a line a check; end with 1 if any failed."""
    outcomes = run()
    failed = sum(not outcome.ok for outcome in outcomes)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        said: dict[str, str] = {}
        for outcome in outcomes:
            first = said.setdefault(outcome.reason, outcome.check)
            same = outcome.reason and first != outcome.check
            reason = f"the same as {first}" if same else outcome.reason
            show_finding(outcome.ok, f"{outcome.check}{f': {reason}' if reason else ''}")
        click.echo()
        show_line(f"{key}: {len(outcomes) - failed} of {len(outcomes)} checks pass.")
    if failed:
        sys.exit(FAILED)


COMMANDS: tuple[click.Command, ...] = (check,)
