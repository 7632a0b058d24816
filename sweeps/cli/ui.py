"""The command that shows the record in a browser."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.console import show_line
from gatelab.sweeps.cli.ending import FAILED, end, refuse
from gatelab.sweeps.cli.options import folder_option, uri_option
from gatelab.tracking.dashboard import LOOPBACK, NotServing, serve
from gatelab.tracking.masking import masked
from gatelab.tracking.named_store import store_of
from gatelab.tracking.store_errors import check_there, is_server, without_login, writing
from gatelab.tracking.views import SweepLinks


@click.command()
@click.argument("sweep", required=False, shell_complete=sweeps_here)
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default a free one.")
@folder_option
@uri_option
def ui(
    sweep: str | None, host: str, port: int | None, folder: Path, tracking_uri: str | None
) -> None:
    """Open MLflow's dashboard on SWEEP, by default the newest."""
    uri = tracking_uri or _store_of(folder, sweep)
    links = _links(uri, sweep)
    if is_server(uri):
        click.echo(_addresses(without_login(uri), links))
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (log := folder / "ui.log").touch()
    _serve(uri, host, port or 0, log, links)


def _store_of(folder: Path, sweep: str | None) -> str:
    try:
        return store_of(folder, sweep)
    except LookupError as error:
        refuse(error)


def _addresses(server: str, links: SweepLinks | None) -> str:
    """Return the lines with the addresses of a sweep, or the one of the first page."""
    if links is None:
        return f"Dashboard: {server}/"
    pages = {"Dashboard": links.page, "Gates": links.gates, "Report": links.report}
    return "\n".join(f"{title + ':':<11}{server}/{page}" for title, page in pages.items())


def _links(uri: str, sweep: str | None) -> SweepLinks | None:
    """Return the pages of a sweep, by default the newest; none where there is none."""
    from gatelab.tracking.mlflow_errors import store_errors
    from gatelab.tracking.mlflow_read import sweep_links, sweep_names

    check_there(uri)
    try:
        with store_errors(uri):
            sweep = sweep or next(iter(sweep_names(uri)), None)
            if sweep is not None:
                return sweep_links(uri, sweep)
    except LookupError as error:
        refuse(error)
    show_line(f"There is no sweep in {masked(uri)} yet.")
    return None


def _serve(uri: str, host: str, port: int, log: Path, links: SweepLinks | None) -> None:
    """Run MLflow's server until Ctrl-C, a signal or its own end."""
    try:
        with ExitStack() as running:
            check = running.enter_context(_noting(signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
            with Console(stderr=True).status("MLflow's server starts"):
                served = serve(uri, host=host, port=port, log=log, check=check)
                server = running.enter_context(served)
            click.echo(f"{_addresses(server.address, links)}  (Ctrl-C ends it)")
            server.wait(check)
    except KeyboardInterrupt:
        pass
    except ValueError as error:
        refuse(error)
    except NotServing as error:
        end(f"gatelab: {error}", FAILED)


@contextmanager
def _noting(*numbers: signal.Signals) -> Iterator[Callable[[], None]]:
    """Note signals; yield what raises :class:`KeyboardInterrupt` after one has come.

    Raised by the signal itself it could be lost: Python ignores what meets its garbage collector.
    """
    came: list[int] = []

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in numbers}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMANDS: tuple[click.Command, ...] = (ui,)
