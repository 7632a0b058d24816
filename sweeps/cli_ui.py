"""The command that shows the record in a browser."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from sweeps.terminal import FAILED, folder_option, refuse, stop, uri_option
from tracking.dashboard import LOOPBACK, NotServing, serve
from tracking.store_errors import check_there, is_server, masked, without_login, writing

TRAINING = "workflowType=machine_learning"
"""In an address: MLflow's side bar has what training leaves, not what language models do."""


@click.command()
@click.argument("sweep", required=False)
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default a free one.")
@folder_option
@uri_option
def ui(
    sweep: str | None, host: str, port: int | None, folder: Path, tracking_uri: str | None
) -> None:
    """Open MLflow's dashboard on SWEEP, by default the newest."""
    from tracking.mlflow_store import default_uri  # here: MLflow takes a second to import

    uri = tracking_uri or default_uri(folder)
    page = _page(uri, sweep)
    if is_server(uri):
        click.echo(f"Dashboard: {without_login(uri)}/{page}")
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (log := folder / "ui.log").touch()
    _serve(uri, host, port or 0, log, page)


def _page(uri: str, sweep: str | None) -> str:
    """Return the page of a sweep, by default the newest; the first page where there is none."""
    from tracking.mlflow_errors import store_errors
    from tracking.mlflow_read import sweep_names, sweep_page

    check_there(uri)
    try:
        with store_errors(uri):
            sweep = sweep or next(iter(sweep_names(uri)), None)
            if sweep is not None:
                return f"{sweep_page(uri, sweep)}?{TRAINING}"
    except LookupError as error:
        refuse(error)
    click.echo(f"There is no sweep in {masked(uri)} yet.")
    return ""


def _serve(uri: str, host: str, port: int, log: Path, page: str) -> None:
    """Run MLflow's server until Ctrl-C, a signal or its own end."""
    try:
        with ExitStack() as running:
            running.enter_context(_as_ctrl_c(signal.SIGTERM, signal.SIGHUP))
            with Console(stderr=True).status("MLflow's server starts"):
                server = running.enter_context(serve(uri, host=host, port=port, log=log))
            click.echo(f"Dashboard: {server.address}/{page}  (Ctrl-C ends it)")
            server.wait()
    except KeyboardInterrupt:
        pass
    except ValueError as error:
        refuse(error)
    except NotServing as error:
        stop(f"gatelab: {error}", FAILED)


@contextmanager
def _as_ctrl_c(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals end this process as Ctrl-C does, which ends what it started too."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMANDS: tuple[click.Command, ...] = (ui,)
