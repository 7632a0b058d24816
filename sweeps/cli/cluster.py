"""The commands about sweeps that run, here or on a cluster: status, logs, stop, doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.console import print_json, show_finding, show_line
from gatelab.sweeps.cli.ending import FAILED, INTERRUPTED, end, refuse
from gatelab.sweeps.cli.hints import folder_words, in_folder
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.options import folder_option, json_option, storage_option, uri_option
from gatelab.sweeps.cli.remote import address_option, follow_option, option, reached, refusals, tell
from gatelab.sweeps.cli.rows import show_rows
from gatelab.sweeps.cluster.access import ClusterError

if TYPE_CHECKING:
    from gatelab.sweeps.cluster.client import Cluster, DriverJob
    from gatelab.sweeps.spec.spec import Spec

Row = tuple[str, str, str, str]
"""Name, state, start and progress of a sweep."""
LOST = "warning: {} does not note the end of all that was finished: it was cut or replaced"
"""Of a sweep whose results are in MLflow all the same."""
STATUS_COLUMNS: Row = ("sweep", "state", "started", "progress")


@click.command()
@click.argument("sweep", required=False, shell_complete=sweeps_here)
@address_option
@folder_option
@json_option
def status(sweep: str | None, address: str | None, folder: Path, as_json: bool) -> None:
    """Show how far SWEEP is, by default every sweep."""
    with refusals():
        rows = _jobs(address, sweep) if address else _homes(folder, sweep)
    if as_json:
        print_json([dict(zip(STATUS_COLUMNS, row, strict=True)) for row in rows])
        return
    if not rows:
        show_line(_nothing(address, folder))
        return
    show_rows(STATUS_COLUMNS, rows, whole=True)


def _nothing(address: str | None, folder: Path) -> str:
    if not address:
        return f"There is no sweep in {folder} yet."
    return (
        f"No sweep was launched on {address} since Ray was started there; "
        "`gatelab resume NAME` goes on with one from before."
    )


def _jobs(address: str, sweep: str | None) -> list[Row]:
    """Return name, state, start and progress of a cluster's sweeps."""
    from gatelab.sweeps.cluster.watching import find_job, newest

    cluster = reached(address)
    jobs = [find_job(cluster, sweep)] if sweep else newest(cluster.jobs()).values()
    return [
        (
            job.sweep,
            job.status,
            f"{job.started:%Y-%m-%d %H:%M}" if job.started else "",
            _progress(cluster, job),
        )
        for job in jobs
    ]


def _progress(cluster: Cluster, job: DriverJob) -> str:
    if job.status == "finished":
        return f"`gatelab compare {job.sweep}` shows it"
    if job.status == "incomplete":
        return f"`gatelab resume {job.sweep}{option(cluster)}` repeats evaluations that failed"
    if job.status in ("stopped", "undelivered"):
        return f"`gatelab resume {job.sweep}{option(cluster)}` goes on"
    from gatelab.sweeps.driver.processes import UNDER_WAY  # here: Optuna takes a second to import

    text = cluster.log(job)
    last = _last_line(text) or _last_line(job.message)
    lost = job.status == "failed" and UNDER_WAY in text
    return f"{last}; `gatelab resume {job.sweep}{option(cluster)}` goes on" if lost else last


def _last_line(text: str) -> str:
    return ([line.strip() for line in text.splitlines() if line.strip()] or [""])[-1]


def _homes(folder: Path, sweep: str | None) -> list[Row]:
    """Return the same of this machine's sweeps; a home of no use is a row that says so."""
    from gatelab.permissions import READING, closed
    from gatelab.sweeps.home.home import ClosedHome, DamagedHome
    from gatelab.sweeps.home.local import local_sweeps

    if sweep:
        return [_home(folder, sweep)]
    if why := closed([folder, folder / "sweeps"], READING):
        refuse(why)
    rows: list[Row] = []
    for name in local_sweeps(folder):
        try:
            rows.append(_home(folder, name))
        except ClosedHome as error:
            rows.append((name, "closed", "", error.why))
        except DamagedHome as error:
            rows.append((name, "damaged", "", error.why))
        except (OSError, ValueError) as error:
            rows.append((name, "damaged", "", " ".join(str(error).split())))
    return rows


def _home(folder: Path, name: str) -> Row:
    from gatelab.sweeps.driver.processes import gates_progress, is_whole, started, status
    from gatelab.sweeps.home.files import STUDIES
    from gatelab.sweeps.home.home import Home

    home = Home(folder, name)
    how = status(home)
    after = [f"goes on from {home.before[-1]}"] if home.before else []
    left = [in_folder(it, folder) for it in _next(home.name, how)]
    gates = gates_progress(home)
    lost = [] if how != "finished" or is_whole(home, gates) else [LOST.format(home.path / STUDIES)]
    progress = "; ".join([*map(str, gates), *after, *left, *lost])
    return home.name, how, f"{started(home):%Y-%m-%d %H:%M}", progress


def _next(name: str, how: str) -> list[str]:
    """Return what is left to do with a sweep that is so far."""
    left = {"stopped": "goes on", "incomplete": "repeats evaluations that failed"}
    return [f"`gatelab resume {name}` {left[how]}"] if how in left else []


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@follow_option
@address_option
@folder_option
def logs(sweep: str, follow: bool, address: str | None, folder: Path) -> None:
    """Show what the driver of SWEEP has said, on a cluster."""
    with refusals():
        if not address:
            from gatelab.sweeps.home.home import Home

            Home(folder, sweep)
            refuse(
                f"sweep {sweep!r} is of this machine, and said its lines where it was launched; "
                f"`gatelab status {sweep}` shows how far it is, --address asks a cluster."
            )
        _show_log(reached(address), sweep, follow)


def _show_log(cluster: Cluster, sweep: str, follow: bool) -> None:
    from gatelab.sweeps.cluster.watching import find_job
    from gatelab.sweeps.cluster.watching import follow as lines_of

    job = find_job(cluster, sweep)
    if not follow:
        click.echo(cluster.log(job), nl=False)
        return
    try:
        for line in lines_of(cluster, job):
            click.echo(line)
    except KeyboardInterrupt:
        end(f"\n{sweep} goes on without this command.", INTERRUPTED)
    sys.exit(cluster.now(job).exit_code or 0)


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@address_option
@folder_option
def stop(sweep: str, address: str | None, folder: Path) -> None:
    """Stop SWEEP as Ctrl-C does; `gatelab resume` goes on later."""
    with refusals():
        stopped, where = _stop_job(address, sweep) if address else _stop_driver(folder, sweep)
    if stopped == "finished":
        words = "" if address else where
        show_line(f"{sweep}: finished; `gatelab compare {sweep}{words}` shows it.")
    else:
        show_line(f"{sweep}: {stopped}; `gatelab resume {sweep}{where}` goes on.")


def _stop_job(address: str, sweep: str) -> tuple[str, str]:
    from gatelab.sweeps.cluster import watching

    cluster = reached(address)
    job = watching.find_job(cluster, sweep)
    if not job.live:
        raise ClusterError(
            f"sweep {sweep!r} is not running on {cluster.address}: it is {job.status}."
        )
    return watching.stop_job(cluster, job).status, option(cluster)


def _stop_driver(folder: Path, sweep: str) -> tuple[str, str]:
    from gatelab.sweeps.driver.processes import status, stop_driver
    from gatelab.sweeps.home.home import Home

    home = Home(folder, sweep)
    if not stop_driver(home):
        raise ClusterError(f"sweep {sweep!r} is not running on this machine: it is {status(home)}.")
    return status(home), folder_words(folder)


@click.command()
@click.argument("spec", type=LocalPath(), required=False)
@address_option
@folder_option
@uri_option
@storage_option
@json_option
def doctor(
    spec: Path | None,
    address: str | None,
    folder: Path,
    tracking_uri: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Check Ray, its nodes, storage and MLflow, and what SPEC needs of them."""
    loaded = _load(spec) if spec else None
    if address:
        if as_json:
            refuse("--json is of a doctor on the head itself, not through --address.")
        _examine_remotely(address, loaded, spec)
    from gatelab.sweeps.cluster.doctor import examine
    from gatelab.tracking.sqlite import default_uri

    found = []
    place, uri = storage or str(folder.resolve()), tracking_uri or default_uri(folder)
    for check in examine(loaded, place, uri):
        found.append({"check": check.name, "ok": check.ok, "reason": check.line})
        if not as_json:
            show_finding(check.ok, f"{check.name}: {check.line}")
    if as_json:
        print_json(found)
    sys.exit(0 if all(check["ok"] for check in found) else FAILED)


def _load(path: Path) -> Spec:
    from gatelab.sweeps.spec.reading import load_spec
    from gatelab.sweeps.spec.spec import SpecError

    try:
        return load_spec(path)
    except SpecError as error:
        refuse(error)


def _examine_remotely(address: str, spec: Spec | None, path: Path | None) -> NoReturn:
    """Check what this machine needs, then let the head check the rest."""
    from gatelab.sweeps.cluster import submission
    from gatelab.sweeps.cluster.watching import follow
    from gatelab.sweeps.spec.spec import SpecError

    try:
        cluster = reached(address)
    except ClusterError as error:
        show_finding(False, f"address: {error}")
        sys.exit(FAILED)
    show_finding(True, f"address: {cluster.address} wants a token, and takes ours")
    with refusals():
        try:
            job = submission.submit_doctor(cluster, spec, path.name if path else "", tell)
        except SpecError as error:
            refuse(error.at(str(path)))
        for line in follow(cluster, job):
            click.echo(line)
        code = cluster.now(job).exit_code
        cluster.forget(job)
    sys.exit(FAILED if code is None else code)


COMMANDS: tuple[click.Command, ...] = (status, logs, stop, doctor)
