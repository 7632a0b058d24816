"""The command that writes a sweep's report."""

from __future__ import annotations

from pathlib import Path

import click

from gatelab.sweeps.cli.answering import answering
from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.console import show_line
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.options import folder_option, uri_option
from gatelab.tracking.lines import FULL


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@click.option(
    "--to",
    type=LocalPath(file_okay=False),
    help="The folder for it; by default SWEEP-report.",
)
@folder_option
@uri_option
def report(sweep: str, to: Path | None, folder: Path, tracking_uri: str | None) -> None:
    """Write the report of SWEEP, finished or not, with all figures and tables."""
    place = to or Path(f"{sweep.partition('@')[0]}-report")  # without its store, as NAME@STORE
    with answering("The report is drawn"):
        from gatelab.results.comparing import (
            report as write,  # here: MLflow and matplotlib take seconds
        )

        try:
            page = write(sweep, place, folder=folder, uri=tracking_uri)
        except OSError as error:
            ours = error.filename and Path(error.filename).is_relative_to(place)
            if not (ours or error.errno in FULL):  # a full disk names no file
                raise
            refuse(f"{place} cannot be written: {error.strerror}.")
    show_line(f"{page}, with figures and tables beside it.")


COMMANDS: tuple[click.Command, ...] = (report,)
