"""How the lines that are said of a table write values, names, counts and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_LONGEST = 40
_ALIKE, _NAMED = 3, 5
_PLAIN = re.compile(r"[A-Za-z_][\w ]*\w|[A-Za-z_]|-?[1-9]\d*|0|-?inf")
_WHOLE = re.compile(r"-?\d+")
_NUMBERS = re.compile(r"\d[\d.,]*")
_YAML_WORDS = {"true", "false", "yes", "no", "y", "n", "on", "off", "null"}


def shown_text(text: str) -> str:
    """Return a value as a line shows it: in one line, cut where it is long."""
    text = "".join(it if it.isprintable() else "?" for it in " ".join(text.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def told_apart(low: float, high: float) -> tuple[str, str]:
    """Return two numbers with six digits, or where these are alike with two that differ."""
    if low == high or f"{low:g}" != f"{high:g}":
        return f"{low:g}", f"{high:g}"
    digits = next((n for n in range(7, 17) if f"{low:.{n}g}" != f"{high:.{n}g}"), 16)
    return f"{low:.{digits + 1}g}", f"{high:.{digits + 1}g}"


def rows_of(count: int) -> str:
    """Return a number of rows in words."""
    return "1 row" if count == 1 else f"{count} rows"


def in_yaml(text: str) -> str:
    """Return a name or value as a spec writes it: in quotes where YAML would read another.

    A backtick, between which lines have their keys, is written by its number.
    """
    plain = _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False).replace("`", "\\u0060")


def name_in_yaml(name: str) -> str:
    """Return a column's name as a spec writes it: in quotes where YAML would read no text."""
    return json.dumps(name) if _WHOLE.fullmatch(name) else in_yaml(name)


def kind_key(name: str, kind: str = "category") -> str:
    """Return the key that settles a column's kind."""
    return f"`kinds: {{{name_in_yaml(name)}: {kind}}}`"


def missing_key(name: str, values: Iterable[str]) -> str:
    """Return the key that takes values of a column for missing."""
    return f"`missing: {{{name_in_yaml(name)}: [{', '.join(map(in_yaml, values))}]}}`"


def drop_key(name: str) -> str:
    """Return the key that leaves a column out."""
    return f"`drop: [{name_in_yaml(name)}]`"


def gathered(lines: Iterable[str]) -> tuple[str, ...]:
    """Return lines of which at most three are alike but for their column and their numbers.

    The columns of further ones are counted in a line after those, and five of them named: a table
    of a thousand columns says no more than one reads.
    """
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kinds.setdefault(_without_its_own(line), []).append(line)
    return tuple(line for alike in kinds.values() for line in _shortened(alike))


def _without_its_own(line: str) -> str:
    column = _column(line)
    return _NUMBERS.sub("0", line.replace(column, "")) if column else line


def _column(line: str) -> str:
    """Return the name that stands first between backticks, or nothing."""
    return (line.split("`") + [""])[1]


def _shortened(alike: list[str]) -> list[str]:
    rest = [_column(line) for line in alike[_ALIKE:]]
    if len(rest) < 2:
        return alike
    names = ", ".join(f"`{name}`" for name in rest[:_NAMED])
    more = ", ..." if len(rest) > _NAMED else ""
    return [*alike[:_ALIKE], f"so it is with {len(rest)} more columns: {names}{more}"]
