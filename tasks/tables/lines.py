"""How the lines that are said of a table write values, names, counts and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_LONGEST = 40
_PLAIN = re.compile(r"[A-Za-z_][\w ]*\w|[A-Za-z_]|-?[1-9]\d*|0|-?inf")
_YAML_WORDS = {"true", "false", "yes", "no", "y", "n", "on", "off", "null"}


def shown_text(text: str) -> str:
    """Return a value as a line shows it: in one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def rows_of(count: int) -> str:
    """Return a number of rows in words."""
    return "1 row" if count == 1 else f"{count} rows"


def in_yaml(text: str) -> str:
    """Return a name or value as a spec writes it: in quotes where YAML would read another."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def kind_key(name: str, kind: str = "category") -> str:
    """Return the key that settles a column's kind."""
    return f"`kinds: {{{in_yaml(name)}: {kind}}}`"


def missing_key(name: str, values: Iterable[str]) -> str:
    """Return the key that takes values of a column for missing."""
    return f"`missing: {{{in_yaml(name)}: [{', '.join(map(in_yaml, values))}]}}`"


def drop_key(name: str) -> str:
    """Return the key that leaves a column out."""
    return f"`drop: [{in_yaml(name)}]`"
