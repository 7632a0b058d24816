"""The command that predicts the rows of a new file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.terminal import (
    busy,
    folder_option,
    json_option,
    print_json,
    refuse,
    uri_option,
)


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@click.argument("file", type=LocalPath())
@click.option("--gate", help="By default the one with the lowest test loss.")
@click.option(
    "--output",
    type=LocalPath(),
    default="predictions.csv",
    show_default=True,
    help="A file that is not there yet: .csv or .parquet.",
)
@folder_option
@uri_option
@json_option
def predict(
    sweep: str,
    file: Path,
    gate: str | None,
    output: Path,
    folder: Path,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Predict each row of FILE by the selected model of a gate of SWEEP, whose task is a table."""
    try:
        with busy("The rows are predicted"):
            from gatelab.sweeps.export.predict import (
                predict as run,  # here: torch and MLflow take seconds to import
            )

            made = run(sweep, file, gate=gate, output=output, folder=folder, uri=tracking_uri)
    except (LookupError, ValueError) as error:
        refuse(error)
    if as_json:
        print_json(asdict(made))
        return
    chosen = "" if gate else ", the one with the lowest test/loss"
    click.echo(
        f"{made.path}: {made.rows:,} row{'s' * (made.rows != 1)}, by gate {made.gate}{chosen} "
        f"(seed {made.seed}, test/loss {made.test_loss:.4g})."
    )
    for line in made.said:
        click.echo(line)


COMMANDS: tuple[click.Command, ...] = (predict,)
