"""The command line: each command is one call of a Python function."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sweeps import cli_registry
from sweeps.load import load_spec
from sweeps.spec import Spec, SpecError
from sweeps.terminal import INTERRUPTED, UNDELIVERED, open_console, refuse, stop

folder_option = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gatelab"),
    envvar="GATELAB_FOLDER",
    show_default=True,
    help="Where the store and the sweeps' files lie.",
)
uri_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow's store; by default a SQLite file in the folder.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gatelab")
def main() -> None:
    """Compare mixture-of-experts gates fairly: search, fresh seeds, significance."""
    sys.path.insert(0, os.getcwd())  # where a user's own "module:name" gates and tasks lie


for _command in cli_registry.COMMANDS:
    main.add_command(_command)


@main.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--name", help="Launch under this name instead of the spec's.")
@folder_option
@uri_option
def launch(spec: Path, name: str | None, folder: Path, tracking_uri: str | None) -> None:
    """Run SPEC: search, evaluation, comparison."""
    from sweeps.launching import launch as run

    loaded = _load(spec, name)
    _run(
        lambda console: run(loaded, folder=folder, uri=tracking_uri, console=console), spec, folder
    )


@main.command()
@click.argument("sweep")
@folder_option
def resume(sweep: str, folder: Path) -> None:
    """Go on with SWEEP where it was stopped."""
    from sweeps.launching import resume as run

    _run(lambda console: run(sweep, folder=folder, console=console), sweep, folder)


@main.command()
@click.argument("sweep")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "csv"]), default="table")
@folder_option
@uri_option
def compare(sweep: str, form: str, folder: Path, tracking_uri: str | None) -> None:
    """Show the comparison of SWEEP, from MLflow's record alone."""
    from sweeps.launching import compare as read

    try:
        comparison = read(sweep, folder=folder, uri=tracking_uri)
    except LookupError as error:
        refuse(error)
    if form == "table":
        _show(open_console(), comparison)
    elif form == "csv":
        click.echo(comparison.to_frame().to_csv(index=False), nl=False)
    else:
        from tracking.report import markdown

        click.echo(markdown(comparison), nl=False)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=5000, show_default=True)
@folder_option
@uri_option
def ui(host: str, port: int, folder: Path, tracking_uri: str | None) -> None:
    """Open MLflow's dashboard on the record."""
    from tracking.mlflow_store import default_uri

    uri = tracking_uri or default_uri(folder)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        refuse(f"there is no store {uri} yet; `gatelab launch` makes it.")
    click.echo(f"Dashboard: http://{host}:{port}  (Ctrl-C ends it)")
    # Several workers of MLflow's default server answer ten times slower than one.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    server += ["--host", host, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, server)


@main.command()
@click.argument("spec", type=click.Path(path_type=Path))
def validate(spec: Path) -> None:
    """Check SPEC, and its data, without running anything."""
    from sweeps.check import check_data, make_task

    loaded = _load(spec)
    try:
        check_data(loaded.task.name, make_task(loaded))
    except ValueError as error:
        refuse(SpecError(str(spec), "task", str(error)))
    count, trials = len(loaded.gates), loaded.search.trials
    click.echo(
        f"{spec}: valid. {count} gates on {loaded.task.name}: {trials} trials each, "
        f"then {loaded.evaluation.seeds} seeds of the best."
    )


def _load(path: Path, name: str | None = None) -> Spec:
    try:
        return load_spec(path, name=name)
    except SpecError as error:
        refuse(error)


def _run(work: Any, source: object, folder: Path) -> None:
    """Run a sweep, and turn what stops it into one line and an exit code."""
    from sweeps.launching import Interrupted, Undelivered

    console = open_console()
    try:
        comparison = work(console)
    except SpecError as error:
        refuse(SpecError(str(source), error.path, error.message))
    except LookupError as error:
        refuse(error)
    except Interrupted as error:
        stop(str(error), INTERRUPTED)
    except Undelivered as error:
        stop(str(error), UNDELIVERED)
    _show(console, comparison)
    option = "" if folder == Path("gatelab") else f" --folder {folder}"
    console.print(f"\nDashboard: [bold]gatelab ui{option}[/]", highlight=False)


def _show(console: Console, comparison: Any) -> None:
    from tracking.report import sentences, table

    console.print(table(comparison))
    for sentence in sentences(comparison):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
