"""The command that compares sweeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatelab.sweeps.cli.answering import answering
from gatelab.sweeps.cli.completing import metric_keys, sweeps_here
from gatelab.sweeps.cli.console import open_console, show_grid, show_line, show_sentences
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.error_lines import show_error, show_warning
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.options import folder_option, json_option, uri_option

if TYPE_CHECKING:
    from gatelab.results.overview import Overview

FORMATS = ("table", "csv", "json", "markdown")


class Percentage(click.ParamType[float]):
    """A share, as a percentage (``1%``) or a number (``0.01``)."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        text = str(value).strip()
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"must be a percentage such as 1%, but got {text[:40]!r}.", param, ctx)


@click.command()
@click.argument("sweeps", nargs=-1, required=True, metavar="SWEEP...", shell_complete=sweeps_here)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=metric_keys,
    help="Show this metric alone, with its tests pair by pair; rank tasks by it. Repeatable.",
)
@click.option(
    "--stage",
    type=click.Choice(["evaluate", "search"]),
    default="evaluate",
    show_default=True,
    help="Compare the seeds of the evaluation, or the best trials of the search.",
)
@click.option(
    "--best",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.05,
    show_default=True,
    help="Which share of the trials, with --stage search.",
)
@click.option(
    "--margin",
    type=Percentage(),
    help="Say which gates are as good as the best one within this share of its mean: 1%.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@json_option
@click.option(
    "--figure",
    type=LocalPath(dir_okay=False),
    help="Write the critical-difference diagram of several tasks to this PNG file.",
)
@folder_option
@uri_option
def compare(
    sweeps: tuple[str, ...],
    metrics: tuple[str, ...],
    stage: str,
    best: float,
    margin: float | None,
    form: str,
    as_json: bool,
    figure: Path | None,
    folder: Path,
    tracking_uri: str | None,
) -> None:
    """Compare the gates of each SWEEP, from MLflow's record alone.

    SWEEP is a name, or NAME@STORE for another store: a folder, or a tracking URI. Sweeps on one
    task are put side by side; over several tasks the gates are ranked.
    """
    if math.isnan(best):
        refuse("--best must be a share of the trials, but got nan.")
    with answering("The record is read"):
        from gatelab.results.overview import overview  # here: MLflow takes seconds to import

        answer = overview(
            *sweeps,
            metrics=tuple(dict.fromkeys(metrics)),
            stage=stage,
            share=best,
            margin=margin,
            folder=folder,
            uri=tracking_uri,
        )
        if figure:
            _draw(answer, figure)
    _print(answer, "json" if as_json else form)


def _draw(answer: Overview, path: Path) -> None:
    """Write the diagram of the first ranking.

    Raises:
        ValueError: If there is nothing to draw, or nowhere to.
    """
    from gatelab.results.figures.ranks import critical_differences
    from gatelab.results.figures.style import save_figure

    if path.suffix != ".png":
        raise ValueError(f"--figure must name a PNG file, but got {str(path)!r}.")
    if not answer.rankings:
        raise ValueError("--figure needs sweeps on several tasks, but all are on one.")
    drawn = critical_differences(answer.rankings[0])
    try:
        save_figure(drawn, path)
    except OSError as error:
        raise ValueError(f"--figure cannot be written to {path}: {error.strerror}.") from error


def _print(answer: Overview, form: str) -> None:
    """Print the answer; what a program would not want to read goes to the error stream."""
    aside = form in ("csv", "json")
    for line in answer.partial:
        (show_error if aside else show_line)(line)
    for line in answer.warnings:
        show_warning(line)
    if form == "csv":
        click.echo(answer.frame().to_csv(index=False), nl=False)
    elif form == "json":
        from gatelab.results.comparison.plain import to_json

        click.echo(to_json(answer.content()), nl=False)
    elif form == "markdown":
        from gatelab.results.comparison.tables import markdown

        click.echo("\n".join(markdown(grid) for grid in answer.grids()), nl=False)
    else:
        _print_tables(answer)


def _print_tables(answer: Overview) -> None:
    console = open_console()
    for grid in answer.grids():
        show_grid(console, grid)
    show_sentences(console, answer.sentences())


COMMANDS: tuple[click.Command, ...] = (compare,)
