"""The command that puts a model in MLflow's registry."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from gatelab.sweeps.cli.answering import answering, tell_partial
from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.console import print_json, show_line
from gatelab.sweeps.cli.hints import in_folder
from gatelab.sweeps.cli.options import folder_option, json_option, uri_option
from gatelab.tracking.masking import told_to_shell
from gatelab.tracking.named_store import store_of


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@click.option("--gate", help="By default the one with the lowest test loss.")
@click.option("--name", help="Of the registered model; by default SWEEP-GATE.")
@click.option("--dense", is_flag=True, help="Compute every expert, not only the selected ones.")
@folder_option
@uri_option
@json_option
def export(
    sweep: str,
    gate: str | None,
    name: str | None,
    dense: bool,
    folder: Path,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Put the selected model of a gate of SWEEP in MLflow's registry."""
    with answering("The model is made", partial(in_folder, folder=folder)):
        from gatelab.sweeps.export.export import (
            export as run,  # here: torch and MLflow take seconds to import
        )

        made = run(sweep, gate=gate, name=name, dense=dense, folder=folder, uri=tracking_uri)
    tell_partial(made.partial)
    if as_json:
        print_json(asdict(made))
        return
    store = told_to_shell(tracking_uri or store_of(folder, sweep))
    show_line(
        f"{made.name}, version {made.version}: gate {made.gate}, seed {made.seed}, "
        f"test/loss {made.test_loss:.4g}."
    )
    show_line(f"With {store}, mlflow.{made.flavour}.load_model({made.uri!r}) loads it.")


COMMANDS: tuple[click.Command, ...] = (export,)
