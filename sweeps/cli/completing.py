"""Completion of names in a shell: sweeps, gates, tasks and metrics, without a long import.

An import of these names must stay quick: a shell waits for it at each press of a key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from gatelab.listing import read_registered
from gatelab.sweeps.home.local import local_sweeps
from gatelab.tracking.schema import FOLDER

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def sweeps_here(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Return the sweeps of the folder that begin so."""
    folder = Path(context.params.get("folder") or FOLDER)
    return [name for name in local_sweeps(folder) if name.startswith(begun)]


def registered(kind: str) -> Completer:
    """Return what completes the names that gatelab registers of a kind."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
        return [one.name for one in read_registered(kind) if one.name.startswith(begun)]

    return complete


def metric_keys(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return keys of the test split's metrics that begin so, each a mean over targets."""
    keys = ["test/loss", *(f"test/mean/{one.name}" for one in read_registered("metric"))]
    keys += ["gate/experts_per_row", "gate/experts_per_example"]
    return [key for key in keys if key.startswith(begun)]
