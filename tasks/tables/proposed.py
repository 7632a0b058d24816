"""A table proposed as a task: every option that says how it is read, found and written out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatelab.data_folder import DATA_FOLDER, in_home
from gatelab.tasks.tables.cells import Cells, texts_of
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.division import check_rows
from gatelab.tasks.tables.files import found_file
from gatelab.tasks.tables.keys import TableKeys
from gatelab.tasks.tables.lines import gathered
from gatelab.tasks.tables.option_forms import check_forms
from gatelab.tasks.tables.prepared import default_frequency
from gatelab.tasks.tables.proposed_missing import settled, with_signs
from gatelab.tasks.tables.proposed_targets import (
    TargetProposal,
    likely_targets,
    named_target,
    propose_as,
    propose_target,
)
from gatelab.tasks.tables.sample import codes
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.tables.sources import read_source
from gatelab.tasks.tables.split_rule import split_rule
from gatelab.tasks.tables.table import Table
from gatelab.tasks.tables.target_options import can_be_recorded, recordable
from gatelab.tasks.tables.wanted import OTHERS
from gatelab.tasks.target import Kind

MOST_NUMBERS = 40
"""More columns of numbers than a reader wants to see listed."""
Options = dict[str, Any]


@dataclass(frozen=True)
class ProposedTable:
    """A table as a task, with what was found of it.

    Attributes:
        options: Of the task, with every found value, as a spec writes them.
        task: What they make.
        why: Of each target whose kind was proposed, from what that follows.
        missing: Values that are proposed to stand for none, by column.
        left_out: Why, of each column that `drop` names because it was left out.
        columns: How many the file has, whatever becomes of them.
        said: What was found, a line each.
    """

    options: Mapping[str, Any]
    task: Table
    why: Mapping[str, str]
    missing: Mapping[str, Sequence[Any]]
    left_out: Mapping[str, str]
    columns: int
    said: tuple[str, ...]

    def proposals(self) -> tuple[str, ...]:
        """Return a line for each kind and each value for none that its user may say otherwise."""
        targets = [
            f"`{it.name}` is proposed as {it.kind}: {self.why[it.name]}."
            for it in self.task.target_columns
            if it.name in self.why
        ]
        missing = [
            f"`{name}`: {' and '.join(f'`{it}`' for it in values)} taken for missing, as proposed."
            for name, values in self.missing.items()
        ]
        return (*gathered(targets), *gathered(missing))

    def overview(self) -> list[tuple[str, str, int, int]]:
        """Return of targets, then of features: name, kind, missing rows, distinct values."""
        kinds = {it.name: f"target, {it.kind}" for it in self.task.target_columns}
        columns = self.task.contents.columns
        names = [*kinds, *self.task.features]
        return [(it, kinds.get(it, columns[it].kind), *_counted(columns[it])) for it in names]


def _counted(column: Column) -> tuple[int, int]:
    found = codes(column)
    return int((found < 0).sum()), int(found.max(initial=-1)) + 1


def propose_table(path: str, targets: Sequence[str], given: Mapping[str, Any]) -> ProposedTable:
    """Return a table as a task.

    Args:
        path: Of a CSV or Parquet file, from here or below the folder of data.
        targets: Columns, each as ``NAME`` or ``NAME=KIND``; without, a kind is proposed.
        given: Further options of the task; what they say is not looked for.

    Raises:
        TableError: In one line, if it is no table, or its user must say more.
    """
    forms = ("kinds", "drop", "only", "missing", "reading")
    about = {name: given[name] for name in forms if name in given}
    check_forms(**about)
    file, path = _located(path)
    keys = TableKeys(**about, targets=dict.fromkeys(_may_be_named(targets)))
    sheet = read_source(file, keys.reading, keys.wanted())
    check_rows(sheet.rows)
    asked = _asked(sheet, targets)
    missing = given.get("missing", {})
    proposals = _proposals(sheet, asked, missing)
    options: Options = {
        "path": path,
        "targets": _in_spec(proposals),
        **given,
        "reading": {**sheet.reading, **given.get("reading", {})},
        "missing": with_signs(sheet, proposals, given),
    }
    found, options["missing"] = settled(options, fixed=missing)
    options = _written_out(found, options)
    why = {name: proposals[name].why for name, kind in asked.items() if kind is None}
    by_column = options["missing"] if isinstance(options["missing"], Mapping) else {}
    return ProposedTable(
        options,
        Table(**options),
        why,
        {name: values for name, values in by_column.items() if name not in missing},
        found.contents.left_out,
        len({*sheet.columns, *sheet.left_out}),
        found.said,
    )


def _located(path: str) -> tuple[Path, str]:
    """Return a table's file, and the path by which the task finds it."""
    here, folder = in_home(path), os.environ.get(DATA_FOLDER)
    if not folder:
        return here, str(here)  # what is wrong with it says who reads it
    if not here.exists():
        return found_file(path), path
    first = in_home(folder) / here
    other = first.is_file() and not first.samefile(here)
    return here, str(here.absolute() if other else here)


def _may_be_named(targets: Sequence[str]) -> list[str]:
    """Return the columns that targets may name, each with its kind or without."""
    return [name for text in targets for name in (text, text.rpartition("=")[0]) if name]


def _asked(sheet: Sheet, targets: Sequence[str]) -> dict[str, Kind | None]:
    if not targets:
        raise TableError(
            f"say by `--target` which columns are to be learned: {likely_targets(sheet)}."
        )
    named = [named_target(text, sheet) for text in targets]
    for at, (name, _) in enumerate(named):
        if name in [it for it, _ in named[:at]]:
            raise TableError(f"target `{name}` is given twice.")
    return dict(named)


def _proposals(
    sheet: Sheet, asked: Mapping[str, Kind | None], missing: Any
) -> dict[str, TargetProposal]:
    """Return what each target may be, without the values that the user takes for missing."""
    found = {}
    for name, kind in asked.items():
        none = missing.get(name, ()) if isinstance(missing, Mapping) else missing
        cells = Cells(name, sheet.columns[name], sheet.first_row, tuple(texts_of(none)))
        found[name] = propose_target(cells) if kind is None else propose_as(cells, kind)
    return found


def _in_spec(proposals: Mapping[str, TargetProposal]) -> dict[str, Any]:
    """Return the option `targets`, each kind alone where there is no more to say.

    More is a name for metrics where the column's cannot be one, and which of two words is 1.
    """
    names, labels = [*proposals], list[str]()
    for at, name in enumerate(names):
        free = name.casefold() not in {it.casefold() for it in labels}
        fits = free and can_be_recorded(name)
        labels.append(name if fits else recordable(name, [*labels, *names[at + 1 :]]))
    return {
        name: _said(it, "" if label == name else label)
        for (name, it), label in zip(proposals.items(), labels, strict=True)
    }


def _said(target: TargetProposal, label: str) -> Any:
    more = {"positive": target.positive, "name": label}
    said = {key: value for key, value in more.items() if value}
    return {"kind": target.kind, **said} if said else target.kind


def _written_out(found: Table, options: Options) -> Options:
    """Return the options with kinds, what is dropped, and what else has a default."""
    left_out = [name for name in found.contents.left_out if name not in options.get("drop", ())]
    made = {
        **options,
        "kinds": _kinds(found, options.get("kinds", {})),
        "drop": [*options.get("drop", ()), *left_out],
        "split": split_rule(options.get("split", "random")).as_option(),
        "duplicates": options.get("duplicates", "keep"),
        "min_frequency": options.get("min_frequency") or _frequency(found),
        "split_seed": options.get("split_seed", 0),
    }
    last = [name for name in made if name not in _ORDER]
    return {name: made[name] for name in (*_ORDER, *last) if made.get(name) is not None}


def _frequency(table: Table) -> int | None:
    """Return what categories need, if there are any."""
    some = any(column.kind == "category" for column in table.features.values())
    return default_frequency(table.contents.rows) if some else None


def _kinds(table: Table, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kind of each feature, of many numbers in one word for all of them."""
    found = {name: given.get(name, column.kind) for name, column in table.features.items()}
    numbers = [name for name, kind in found.items() if kind == "number"]
    if len(numbers) <= MOST_NUMBERS or OTHERS in table.contents.columns:
        return found
    return {**{name: kind for name, kind in found.items() if kind != "number"}, OTHERS: "number"}


_ORDER = ("path", "reading", "targets", "missing", "drop", "kinds", "split", "duplicates")
