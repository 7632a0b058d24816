"""The command about files of published data sets: got, and looked at."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from gatelab.sweeps.cli.console import print_json, show_finding, show_line
from gatelab.sweeps.cli.ending import FAILED, refuse
from gatelab.sweeps.cli.interrupts import stopped_by
from gatelab.sweeps.cli.options import json_option

if TYPE_CHECKING:
    from gatelab.tasks.data_sets.data_set import DataSet


@click.group("data")
def data_files() -> None:
    """Download the files of a published data set, or check them."""


@data_files.command("get")
@click.argument("name")
@click.option("--accept-licence", is_flag=True, help="Accept the data set's licence.")
@click.option(
    "--mirror", metavar="URL", help="Where files of the same names lie, in place of their source."
)
def get_data(name: str, accept_licence: bool, mirror: str | None) -> None:
    """Download data set NAME, or those that task NAME reads.

    They go below GATELAB_DATA.
    """
    from gatelab.tasks.data_sets.data_set import DataError
    from gatelab.tasks.data_sets.downloading import download

    for data_set in _named(name):
        show_line(f"{data_set.name}: {data_set.source} Licence: {data_set.licence}")
        try:
            with stopped_by(signal.SIGTERM, signal.SIGHUP):
                download(
                    data_set,
                    accept_licence=accept_licence,
                    mirror=mirror,
                    progress=sys.stderr.isatty(),
                    say=show_line,
                )
        except DataError as error:
            refuse(error)


@data_files.command("check")
@click.argument("name")
@json_option
def check_data_set(name: str, as_json: bool) -> None:
    """Check the files of data set or task NAME by the published hashes."""
    from gatelab.tasks.data_sets.checking import checked_files

    found = []
    for data_set in _named(name):
        for ok, line in checked_files(data_set):
            found.append({"data_set": data_set.name, "ok": ok, "line": line})
            if not as_json:
                show_finding(ok, line)
    if as_json:
        print_json(found)
    if not all(each["ok"] for each in found):
        sys.exit(FAILED)


def _named(name: str) -> tuple[DataSet, ...]:
    from gatelab.tasks.data_sets.data_set import DataError, named_sets
    from gatelab.tasks.task import tasks

    try:
        return named_sets(name, {task: tasks.get(task).data_sets for task in tasks.names()})
    except DataError as error:
        refuse(error)


COMMANDS: tuple[click.Command, ...] = (data_files,)
