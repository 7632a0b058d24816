"""MATLAB files of published data sets: their variables, or one line, whatever they hold."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from gatelab.rules import as_line
from gatelab.tasks.data_sets.checking import is_published
from gatelab.tasks.data_sets.data_set import DataError, DataSet
from gatelab.tasks.data_sets.unpacking import opened

_READS = """
from io import BytesIO
from sys import argv, exit, stdin
from scipy.io import loadmat
try:
    loadmat(BytesIO(stdin.buffer.read()), variable_names=argv[1:])
except Exception as error:
    exit(str(error) or type(error).__name__)
"""


def read_matlab(data_set: DataSet, name: str, variables: Sequence[str]) -> list[Any]:
    """Return variables of a MATLAB file of a data set.

    Args:
        data_set: The data set.
        name: Of its file.
        variables: Their names.

    Raises:
        DataError: If the file is not on this machine, is no such file, or lacks a variable.
    """
    path = data_set.found(name)
    with opened(path) as file:
        content = file.read()
    if not is_published(data_set, name):
        _try_elsewhere(path, content, variables)
    found = _loaded(path, content, variables)
    for variable in variables:
        if variable not in found:
            raise DataError(f"{path} has no variable {variable!r}.")
    return [found[variable] for variable in variables]


def _try_elsewhere(path: Path, content: bytes, variables: Sequence[str]) -> None:
    """Check in another process that a file can be read: a damaged one may end that of SciPy.

    One of which SciPy raises there may end the process here: it has read beyond a list's end.
    """
    words = [sys.executable, "-P", "-c", _READS, *variables]
    done = subprocess.run(words, input=content, capture_output=True, check=False)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise DataError(f"{path} is no MATLAB file: it is damaged, reading it ends in {name}.")
    if done.returncode:
        raise _no_matlab(path, done.stderr.decode(errors="replace"))


def _no_matlab(path: Path, why: str) -> DataError:
    return DataError(f"{path} is no MATLAB file: {as_line(why.strip(), 200).rstrip('.')}.")


def _loaded(path: Path, content: bytes, variables: Sequence[str]) -> Mapping[str, Any]:
    from scipy.io import loadmat  # here: it takes half a second to import

    try:
        found: Mapping[str, Any] = loadmat(
            BytesIO(content),  # type: ignore[arg-type]
            variable_names=list(variables),
        )
    except Exception as error:  # of a damaged file SciPy raises almost anything
        raise _no_matlab(path, str(error)) from error
    return found
