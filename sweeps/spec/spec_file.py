"""The file of a spec: its bytes to keys and values, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import yaml

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.notation import read_notation
from gatelab.sweeps.spec.spec import SpecError

MOST_BYTES = 2**20
"""Of a spec's file."""


def read_spec_file(path: Path) -> Any:
    """Return what the file of a spec says, of whatever form.

    Raises:
        SpecError: If it is no file, no text, no YAML, or larger than any spec; it names the file.
    """
    return _read_yaml(_text(path), str(path))


def _text(path: Path) -> str:
    """Return a file's text.

    Raises:
        SpecError: If it is no file, no text, or larger than any spec.
    """
    source = str(path)
    if "\0" in source:
        raise SpecError(source, "", "no such file: a path has no zeros.")
    try:
        found = path.stat()
        if S_ISDIR(found.st_mode):
            raise SpecError(source, "", "is a folder, not a spec file.")
        if not S_ISREG(found.st_mode):
            raise SpecError(source, "", "is no file, but a device or a pipe: write it to a file.")
        if found.st_size > MOST_BYTES:
            size = f"{found.st_size / 2**20:.0f} MiB"
            raise SpecError(source, "", f"has {size}, but a spec has 1 MiB at most.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(source, "", f"must be UTF-8 text, but {error}.") from error
    except FileNotFoundError as error:
        raise SpecError(source, "", _why_not_there(path)) from error
    except OSError as error:
        raise SpecError(source, "", f"cannot be read: {error.strerror}.") from error


def _why_not_there(path: Path) -> str:
    if path.is_symlink():
        return f"leads to {written(str(path.readlink()))}, which is not there."
    siblings = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
    return f"no such file; {near_misses(path.name, siblings)}"


def _read_yaml(text: str, source: str) -> Any:
    try:
        return read_notation(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = ": ".join(part for part in (error.context, error.problem) if part)
        raise SpecError(source, where, f"broken YAML: {why}.") from error
    except yaml.YAMLError as error:
        raise SpecError(source, "", f"broken YAML: {error}.") from error
