"""The command that puts a model in MLflow's registry."""

from __future__ import annotations

from pathlib import Path

import click

from gatelab.sweeps.cli.terminal import folder_option, refuse, uri_option


@click.command()
@click.argument("sweep")
@click.option("--gate", help="By default the one with the lowest test loss.")
@click.option("--name", help="Of the registered model; by default SWEEP-GATE.")
@click.option("--dense", is_flag=True, help="Compute every expert, not only the selected ones.")
@folder_option
@uri_option
def export(
    sweep: str,
    gate: str | None,
    name: str | None,
    dense: bool,
    folder: Path,
    tracking_uri: str | None,
) -> None:
    """Put the selected model of a gate of SWEEP in MLflow's registry."""
    from gatelab.sweeps.export.export import (
        export as run,  # here: torch and MLflow take seconds to import
    )

    try:
        made = run(sweep, gate=gate, name=name, dense=dense, folder=folder, uri=tracking_uri)
    except (LookupError, ValueError) as error:
        refuse(error)
    click.echo(
        f"{made.name}, version {made.version}: gate {made.gate}, seed {made.seed}, "
        f"test/loss {made.test_loss:.4g}.\n"
        f"mlflow.{made.flavour}.load_model({made.uri!r}) loads it."
    )


COMMANDS: tuple[click.Command, ...] = (export,)
