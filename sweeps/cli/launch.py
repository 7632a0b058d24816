"""The commands that run a sweep: validate, launch, resume."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from gatelab.sweeps.cli.completing import sweeps_here
from gatelab.sweeps.cli.console import (
    busy,
    open_console,
    print_json,
    show_grid,
    show_line,
    show_sentences,
)
from gatelab.sweeps.cli.ending import FAILED, INTERRUPTED, NO_SCORE, UNDELIVERED, end, refuse
from gatelab.sweeps.cli.error_lines import show_warning
from gatelab.sweeps.cli.hints import folder_words, in_folder
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.options import folder_option, json_option, storage_option, uri_option
from gatelab.sweeps.cli.remote import address_option, follow_option, launch_remote, resume_remote
from gatelab.sweeps.cluster.access import ClusterError
from gatelab.sweeps.driver import launching
from gatelab.sweeps.driver.processes import interrupt_on_term
from gatelab.sweeps.spec.advice import advised, check_of, checks_of_gates
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.schema import Artifacts

if TYPE_CHECKING:
    from gatelab.results.comparison import Comparison
    from gatelab.sweeps.spec.validating import Validated


def _shares(
    context: click.Context, option: click.Parameter, text: str | None
) -> dict[str, float] | None:
    """Read ``cpus=1,gpus=0.25``, either or both."""
    if text is None:
        return None
    try:
        pairs = [part.split("=") for part in text.split(",")]
        found = {kind.strip(): float(number) for kind, number in pairs}
    except ValueError:
        found = {}
    if not found or not found.keys() <= {"cpus", "gpus"}:
        refuse(f"--resources must be like cpus=1,gpus=0.25, but got {text!r}.")
    if len(found) < len(pairs):
        refuse(f"--resources must name each once, but got {text!r}.")
    return found


overrides_argument = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")


@click.command()
@click.argument("spec", type=LocalPath())
@overrides_argument
@click.option("--name", help="Launch under this name instead of the spec's.")
@click.option(
    "--resources",
    metavar="cpus=C,gpus=G",
    callback=_shares,
    help="What one job occupies, instead of the spec's; a fraction of a GPU shares it.",
)
@folder_option
@uri_option
@storage_option
@address_option
@follow_option
def launch(
    spec: Path,
    overrides: tuple[str, ...],
    name: str | None,
    resources: dict[str, float] | None,
    folder: Path,
    tracking_uri: str | None,
    storage: str | None,
    address: str | None,
    follow: bool,
) -> None:
    """Run SPEC: search, evaluation, comparison.

    KEY=VALUE overrides a value of the spec, as search.trials=50.
    """
    interrupt_on_term()
    loaded = _load(spec, overrides, name, resources)
    if address:
        launch_remote(loaded, spec, address, folder, follow)
    work = partial(launching.launch, loaded, folder=folder, uri=tracking_uri, storage=storage)
    _run(work, spec, folder)


@click.command()
@click.argument("sweep", shell_complete=sweeps_here)
@overrides_argument
@click.option("--name", help="Of the sweep that goes on from a finished one; by default SWEEP-2.")
@click.option(
    "--redeliver",
    is_flag=True,
    help="Write everything into MLflow again, where its store is new or has lost it.",
)
@click.option("--tracking-uri", help="MLflow's store from now on, where it is another than before.")
@folder_option
@address_option
@follow_option
def resume(
    sweep: str,
    overrides: tuple[str, ...],
    name: str | None,
    redeliver: bool,
    tracking_uri: str | None,
    folder: Path,
    address: str | None,
    follow: bool,
) -> None:
    """Go on with SWEEP where it was stopped, or from where it has ended.

    With KEY=VALUE another sweep goes on from a finished one, which stays as it is: with more
    search.trials, evaluation.seeds or evaluation.splits. It begins with all trials of that one.
    """
    interrupt_on_term()
    if address:
        if tracking_uri:  # it may have a password, and a job's command is told to all
            refuse("--tracking-uri is of a resume on the head itself, not through --address.")
        more = overrides or name is not None
        if more and (redeliver or not (overrides and name)):
            refuse(
                "through --address a sweep that goes on needs KEY=VALUE and its own --name, and "
                f"no --redeliver: `gatelab resume {sweep} search.trials=N --name NEW`."
            )
        resume_remote(sweep, address, follow, redeliver, overrides, name)
    work = partial(launching.resume, sweep, folder=folder, uri=tracking_uri, redeliver=redeliver)
    _run(partial(work, overrides=overrides, successor=name), sweep, folder)


@click.command()
@click.argument("spec", type=LocalPath())
@overrides_argument
@json_option
def validate(spec: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check SPEC, and its data, without running anything.

    KEY=VALUE overrides a value of the spec, as search.trials=50.
    """
    from gatelab.sweeps.spec.validating import validate as validated  # here: it imports torch

    loaded = _load(spec, overrides)
    try:
        with busy("The data are read, and a few rows pass through all networks and gates"):
            found = validated(loaded)
    except SpecError as error:
        refuse(error.at(str(spec)))
    if as_json:
        print_json(_as_json(spec, loaded, found))
        return
    task = loaded.task.name
    for doubt in found.doubts:
        show_warning(f"{spec}: task: {task!r}: {doubt}")
    for remark in found.remarks:
        show_warning(f"{spec}: {remark}")
    plan = f"{spec}: valid. {', '.join(found.gates)} on {task}: {found.plan}."
    show_sentences(open_console(), (*found.said, plan))
    for line in advised(loaded):
        show_line(line)


def _as_json(path: Path, spec: Spec, found: Validated) -> dict[str, object]:
    return {
        "spec": str(path),
        "task": spec.task.name,
        "gates": found.gates,
        "plan": found.plan,
        "said": found.said,
        "warnings": [*found.doubts, *found.remarks],
        "check": check_of(spec.task),
        "gate_checks": checks_of_gates(spec),
    }


def _load(
    path: Path,
    overrides: tuple[str, ...],
    name: str | None = None,
    resources: dict[str, float] | None = None,
) -> Spec:
    try:
        return load_spec(path, name=name, resources=resources, overrides=overrides)
    except SpecError as error:
        refuse(error)


def _run(work: Callable[..., Comparison], source: object, folder: Path) -> None:
    """Run a sweep, and turn what stops it into one line and an exit code."""
    from gatelab.sweeps.driver.stops import Halted, Interrupted, NoRoom, Undelivered

    console, here = open_console(), partial(in_folder, folder=folder)
    try:
        comparison = work(console=console)
    except SpecError as error:
        refuse(error.at(str(source)), here)
    except (LookupError, ClusterError) as error:
        refuse(error, here)
    except Interrupted as error:
        end(here(error.in_shell), INTERRUPTED)
    except Undelivered as error:
        end(here(error.in_shell), UNDELIVERED)
    except (Halted, NoRoom) as error:
        end(here(error.in_shell), FAILED)
    _show(console, comparison)
    _say_where_traces_are(console, comparison, folder)
    option = folder_words(folder)
    report = folder / "sweeps" / comparison.sweep / "report" / Artifacts.REPORT
    console.print(f"\nReport: {report}", highlight=False, markup=False, soft_wrap=True)
    shown = f"[bold]{escape(f'gatelab ui {comparison.sweep}{option}')}[/]"
    console.print(f"Dashboard: {shown}", highlight=False, soft_wrap=True)
    _end(comparison, folder, option)


def _end(comparison: Comparison, folder: Path, option: str) -> None:
    """End with the code that says of a sweep whether every gate has its scores."""
    from gatelab.sweeps.home.home import Home

    name = comparison.sweep
    lacking = {
        "no score": [budget.gate for budget in comparison.budgets if not budget.evaluated],
        "no score after one of its searches": [b.gate for b in comparison.budgets if b.fruitless],
    }
    said = [f"{what}: {', '.join(who)}" for what, who in lacking.items() if who]
    left = Home(folder, name).incomplete
    if not (said or left):
        return
    what = "; ".join(said) or "some evaluations have no score"
    more = f"; `gatelab resume {name}{option}` repeats evaluations that failed" if left else ""
    end(f"gatelab: {what}{more}.", NO_SCORE)


def _say_where_traces_are(console: Console, comparison: Comparison, folder: Path) -> None:
    from gatelab.sweeps.home.home import Home

    traces = Home(folder, comparison.sweep).path / Artifacts.TRACES
    if traces.is_dir():
        where = f"Tracebacks of what an error ended: {traces}"
        console.print(where, highlight=False, markup=False, soft_wrap=True)


def _show(console: Console, comparison: Comparison) -> None:
    from gatelab.results.comparison.score_grids import score_grid
    from gatelab.results.comparison.verdict import sentences

    show_grid(console, score_grid(comparison))
    show_sentences(console, sentences(comparison))


COMMANDS: tuple[click.Command, ...] = (validate, launch, resume)
