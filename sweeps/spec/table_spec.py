"""A first spec of a table: a text that runs as it is, and says of each line what it means."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from gatelab.sweeps.spec.notation import write_inline
from gatelab.tasks.tables.proposed import ProposedTable

_WIDTH = 100
_STEPS = 560
"""Of a trial: three gates, two baselines and 8 trials each then take about five minutes on 2 cores,
as the demo does with 480."""
_LARGEST_BATCH, _SMALLEST_BATCH = 1024, 32
_MOST_EPOCHS, _FEWEST_EPOCHS = 60, 10
_STEPS_AN_EPOCH = 32
_COMMENTS = {
    "path": "below GATELAB_DATA if that is set, else from where gatelab is called",
    "reading": "how the file is written, as found",
    "targets": "binary, multiclass or regression; or {kind: binary, weight: 2}",
    "missing": "values that stand for none; proposed: take out what is a true value",
    "only": "the columns that are features",
    "split": "or by one of column, group and time: docs/tables.md",
    "duplicates": "or together: copies of a row stay in one split",
    "rare": "of classes of fewer than 3 rows: ask, drop or train",
    "min_frequency": "categories of fewer train rows share one id with unknown ones",
    "weights": "the column of what a row weighs, which is no feature",
    "split_seed": "another one divides the same rows anew",
}
_ONE_DIVISION = "0 alone: the split says of each row where it is"
_DROP = "no features; what is taken out of the list needs a kind below"
_KINDS = "number, binary, category, or a list of levels in order"


def table_spec(table: ProposedTable, name: str) -> str:
    """Return the text of a spec that compares gates on a table.

    Args:
        table: The table, whose options stand in it.
        name: The sweep's.
    """
    rows = len(table.task.split("train").targets)
    parts = [
        f"# Which gate serves {PurePath(table.options['path']).name} best? Written by "
        "`gatelab new sweep`; every value can be changed.",
        f"name: {write_inline(name)}",
        "task:",
        "  name: table",
        *(line for option in table.options for line in _option(table, option)),
        *_rest(rows, fixed=table.task.fixed_split).splitlines(),
    ]
    return "".join(f"{_printable(line)}\n" for line in parts)


def sweep_name(stem: str) -> str:
    """Return the name of a sweep for a file's: letters, digits and `_.-` of ASCII."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-_.")[:100] or "table"


def sizes(rows: int) -> tuple[int, int]:
    """Return a batch size and epochs for so many train rows.

    An epoch has about 32 steps and a trial about 560; more rows than batches of 1,024 can take in
    that time are seen ten times.
    """
    wanted = 2 ** round(math.log2(max(rows / _STEPS_AN_EPOCH, 1)))
    batch = min(max(wanted, _SMALLEST_BATCH), _LARGEST_BATCH)
    epochs = round(_STEPS / math.ceil(rows / batch))
    return batch, min(max(epochs, _FEWEST_EPOCHS), _MOST_EPOCHS)


def _option(table: ProposedTable, option: str) -> list[str]:
    """Return the lines of an option of the task; none of one that says nothing."""
    value, comment = table.options[option], _COMMENTS.get(option, "")
    if option == "path" and PurePath(value).is_absolute():
        comment = ""
    if option == "split_seed" and table.task.fixed_split:
        comment = _ONE_DIVISION
    if value in ({}, [], ()):
        return []
    if option == "targets":
        return _block(option, value, comment, {n: f"proposed: {w}" for n, w in table.why.items()})
    if option == "missing" and isinstance(value, Mapping):
        return _block(option, value, comment, {})
    if option == "drop":
        return _grouped(option, "[]", _DROP, _by_reason(table))
    if option == "kinds":
        return _grouped(option, "{}", _KINDS, _by_kind(value, len(table.task.features)))
    return [_line(f"  {option}: {write_inline(value)}", comment)]


def _line(text: str, comment: str) -> str:
    return f"{text} # {comment}" if comment else text


def _block(
    option: str, values: Mapping[str, Any], comment: str, comments: Mapping[str, str]
) -> list[str]:
    entries = [_line(f"    {_entry(it, values[it])}", comments.get(it, "")) for it in values]
    return [_line(f"  {option}:", comment), *entries]


def _entry(key: str, value: Any) -> str:
    entry = write_inline({key: value})[1:-1]
    # YAML takes a long key without a question mark if it stands in one line.
    return f"{write_inline(key)}: {write_inline(value)}" if entry.startswith("? ") else entry


def _by_reason(table: ProposedTable) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in table.options["drop"]:
        groups[table.left_out.get(name, "")].append(write_inline(name))
    return groups


def _by_kind(kinds: Mapping[str, Any], features: int) -> dict[str, list[str]]:
    """Return entries by kind: of many columns one sees at once which are categories."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, kind in kinds.items():
        groups[kind if isinstance(kind, str) else "levels"].append(_entry(name, kind))
    counts = {kind: len(entries) for kind, entries in groups.items()}
    counts["number"] = features - sum(counts.values()) + counts.get("number", 0)
    return {f"{counts[kind]:,} {_of_kind(kind, counts[kind])}": it for kind, it in groups.items()}


def _of_kind(kind: str, count: int) -> str:
    plural = {"number": "numbers", "category": "categories"}
    return plural.get(kind, kind) if count > 1 else kind


def _grouped(option: str, signs: str, comment: str, groups: Mapping[str, list[str]]) -> list[str]:
    """Return a list or mapping, several entries a line, with a comment before each group."""
    lines = [_line(f"  {option}: {signs[0]}", comment)]
    for title, entries in groups.items():
        lines += [f"    # {title}"] if title else []
        lines += [f"    {line}" for line in _filled(entries)]
    return [*lines, f"  {signs[1]}"]


def _filled(entries: Iterable[str]) -> list[str]:
    """Return entries in lines, of which none is broken."""
    lines = [""]
    for entry in entries:
        if lines[-1] and len(lines[-1]) + len(entry) + 2 > _WIDTH - 4:
            lines.append("")
        lines[-1] += f" {entry}," if lines[-1] else f"{entry},"
    return lines


def _rest(rows: int, *, fixed: bool) -> str:
    batch, epochs = sizes(rows)
    anew = "more divide the rows anew: an answer that holds beyond one division"
    splits = "no more: the rows are divided in one way alone" if fixed else anew
    steps = math.ceil(rows / batch)
    return f"""\
gates: [dselect_k, top_k, softmax] # `gatelab list gates`; baselines are added by themselves
model:
  num_experts: 8
  expert_width: 64
optimizer:
  learning_rate: {{low: 5e-4, high: 1e-2, log: true}} # searched, beside each gate's own
training:
  batch_size: {batch} # of {rows:,} train rows: {steps} steps an epoch
  max_epochs: {epochs}
  patience: {max(5, epochs // 5)} # epochs without a better objective
search:
  trials: 8 # of each gate; 20 and more for an answer to rely on
evaluation:
  seeds: 5 # fresh ones for each gate's best trial
  splits: 1 # {splits}"""


def _printable(line: str) -> str:
    """Return a line whose comment has no sign that ends a line or a reader of YAML."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)
