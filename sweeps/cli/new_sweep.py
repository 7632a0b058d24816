"""The command that makes a table a sweep: what was found is printed, and a spec is written."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import click

from gatelab.durable import draft_of
from gatelab.sweeps.cli.console import open_console, show_line, show_sentences
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.error_lines import show_warning
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.sweeps.cli.rows import show_commands, show_rows
from gatelab.sweeps.cli.task_options import check_task_options, options_option, task_options
from gatelab.sweeps.spec.space import keyword_defaults
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.proposed import ProposedTable, propose_table
from gatelab.tasks.tables.table import Table

_MOST_COLUMNS = 20
_WIDEST_NAME = 40
_PACKED = {".gz", ".bz2", ".zst", ".lz4"}


@click.command("sweep")
@click.argument("table", type=LocalPath(path_type=str))
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME[=KIND]",
    help="A column to learn, as binary, multiclass or regression; may be given several times.",
)
@options_option
@click.option(
    "--output",
    type=LocalPath(),
    help="The spec to write; by default the table's name with .yaml, here.",
)
def new_sweep(
    table: str, targets: tuple[str, ...], options: tuple[str, ...], output: Path | None
) -> None:
    """Write a spec that compares gates on TABLE, a CSV or Parquet file."""
    output = output or Path(f"{_stem(table)}.yaml")
    try:
        _check_output(output)
        proposed = propose_table(table, targets, _given(options))
        _write(proposed, output)
    except TableError as error:
        refuse(_as_options(str(error)))
    except SpecError as error:
        refuse(error.at(str(output)))
    except ValueError as error:
        refuse(error)
    except OSError as error:
        refuse(f"{error.filename or output}: {error.strerror or error}.")
    _show(proposed, table)
    _show_next(output)


def _stem(table: str) -> str:
    path = Path(table)
    return Path(path.stem).stem if path.suffix in _PACKED else path.stem


def _check_output(output: Path) -> None:
    if output.exists() or output.is_symlink():
        raise ValueError(f"{output} is there already: name another file by `--output`.")
    if not output.parent.is_dir():
        raise ValueError(f"there is no folder {output.parent}, where {output.name} should be.")


def _given(texts: tuple[str, ...]) -> dict[str, Any]:
    given = task_options(texts)
    check_task_options("table", given)
    for name in given.keys() & {"path", "targets"}:
        by = "the argument TABLE" if name == "path" else "`--target`"
        raise ValueError(f"`--option {name}=` is not taken: {by} says it.")
    return given


def _as_options(line: str) -> str:
    """Return a line whose keys of a spec are options of this command, ready to be copied."""
    keys = "|".join(keyword_defaults(Table))
    options = re.compile(rf"`({keys}): ([^`]+)`")
    return options.sub(lambda it: f"`--option {shlex.quote(f'{it[1]}={it[2]}')}`", line)


def _write(proposed: ProposedTable, output: Path) -> None:
    """Write a spec, which is read once before it has its name; the sweep is called as it is."""
    from gatelab.sweeps.spec.reading import load_spec
    from gatelab.sweeps.spec.table_spec import sweep_name, table_spec

    with draft_of(output) as draft:
        draft.write_text(table_spec(proposed, sweep_name(output.stem)), encoding="utf-8")
        load_spec(draft)


def _show(proposed: ProposedTable, table: str) -> None:
    """Print the columns, what was found of them, and what makes scores doubtful."""
    rows = proposed.overview()
    show_line(f"{table}: {proposed.task.contents.rows:,} rows, {proposed.columns:,} columns.")
    click.echo()
    first = [
        (_shortened(name), kind, f"{missing:9,}", f"{values:9,}")
        for name, kind, missing, values in rows[:_MOST_COLUMNS]
    ]
    show_rows(("column", "kind", f"{'missing':>9}", f"{'values':>9}"), first)
    more = Counter(kind for _, kind, *_ in rows[_MOST_COLUMNS:])
    if more:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in more.items())
        show_line(f"and {more.total():,} more: {kinds}")
    click.echo()
    show_sentences(open_console(), (*proposed.proposals(), *proposed.said))
    for warning in proposed.task.warnings():
        show_warning(warning)


def _shortened(name: str) -> str:
    return name if len(name) <= _WIDEST_NAME else f"{name[: _WIDEST_NAME - 3]}..."


def _show_next(output: Path) -> None:
    path = f"./{output}" if str(output).startswith("-") else str(output)  # which is no option
    name = shlex.quote(path)
    click.echo()
    show_line(f"{output} is written. Next:")
    click.echo()
    why = "what is looked at again, and the plan of the search"
    show_commands({f"gatelab validate {name}": why, f"gatelab launch {name}": ""})
