"""The command that predicts the rows of a new file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gatelab.rules import written
from gatelab.sweeps.cli.answering import answering, tell_partial
from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.console import print_json, show_line
from gatelab.sweeps.cli.hints import in_folder
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.options import folder_option, json_option, uri_option


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@click.argument("file", type=LocalPath())
@click.argument("reading", nargs=-1, metavar="[reading.KEY=VALUE]...")
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
    reading: tuple[str, ...],
    gate: str | None,
    output: Path,
    folder: Path,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Predict each row of FILE by the selected model of a gate of SWEEP, whose task is a table.

    reading.KEY=VALUE says how FILE is written, where not as the table is: reading.encoding=cp1252.
    """
    with answering("The rows are predicted", lambda it: in_folder(_on_a_command_line(it), folder)):
        from gatelab.sweeps.export.predict import (
            predict as run,  # here: torch and MLflow take seconds to import
        )

        made = run(
            sweep,
            file,
            gate=gate,
            output=output,
            reading=_reading(reading),
            folder=folder,
            uri=tracking_uri,
        )
    tell_partial(made.partial)
    if as_json:
        print_json(asdict(made))
        return
    chosen = "" if gate else ", the one with the lowest test/loss"
    show_line(
        f"{made.path}: {made.rows:,} row{'s' * (made.rows != 1)}, by gate {made.gate}{chosen} "
        f"(seed {made.seed}, test/loss {made.test_loss:.4g})."
    )
    for line in made.said:
        show_line(_on_a_command_line(line))


def _reading(overrides: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the keys that a command line gives.

    Raises:
        ValueError: If it gives others.
    """
    from gatelab.sweeps.spec.overrides import overridden  # here: a spec imports torch

    given = overridden({}, overrides)
    others = [text for text in overrides if not text.startswith("reading.")]
    if others:
        raise ValueError(
            f"of a table predict takes keys of `reading` alone, as reading.encoding=cp1252, but "
            f"got {written(others[0])}."
        )
    keys: Mapping[str, Any] = given.get("reading", {})
    return keys


def _on_a_command_line(text: str) -> str:
    """Write keys of ``reading`` as this command takes them, where a spec's form is advised."""

    def written_here(found: re.Match[str]) -> str:
        override = f"reading.{found[1]}={found[2]}"
        return f"`'{override}'`" if '"' in override else f"`{override}`"

    return re.sub(r"`reading: \{(\w+): ([^}]*)\}`", written_here, text)


COMMANDS: tuple[click.Command, ...] = (predict,)
