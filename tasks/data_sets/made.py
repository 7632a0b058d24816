"""Arrays that take seconds to make: kept on the disk, and shared by all processes of a machine."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelab.data_folder import cache_folder
from gatelab.durable import draft_of

AnyArray = npt.NDArray[Any]
Forms = Mapping[str, tuple[tuple[int, ...], type[np.generic]]]
"""Shape and type of each array, by name."""
Pieces = Callable[[], Iterator[Mapping[str, AnyArray]]]
"""Gives the rows of all arrays from the first on, some of each at a time, by name."""
MOST_MADE = 12
"""Of one task; who made the oldest has them as long as it runs."""


def made_once(task: str, identity: str, forms: Forms, pieces: Pieces) -> dict[str, AnyArray]:
    """Return arrays that are made once a machine.

    They are files of the platform's cache folder, mapped into memory: processes share the pages
    that they read, and what one of them writes it alone sees. Who makes them holds one piece at a
    time. Where nothing can be written they are made in memory. What is there is whole: it has its
    name once it is complete.

    Args:
        task: The name under which they are kept.
        identity: All that they follow from, the contents of files included.
        forms: Of the arrays.
        pieces: Gives rows of these forms.
    """
    folder = cache_folder() / "made" / task / hashlib.sha256(identity.encode()).hexdigest()[:24]
    with suppress(OSError, ValueError):  # which is of a file that is not there, or damaged
        return _mapped(folder, forms)
    with suppress(OSError):  # no room; or another process was faster, with the same
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, forms, pieces)
    with suppress(OSError, ValueError):
        return _mapped(folder, forms)
    return _in_memory(forms, pieces)


def _in_memory(forms: Forms, pieces: Pieces) -> dict[str, AnyArray]:
    made = {name: np.empty(shape, dtype) for name, (shape, dtype) in forms.items()}
    done = dict.fromkeys(forms, 0)
    for piece in pieces():
        for name, rows in piece.items():
            made[name][done[name] : done[name] + len(rows)] = rows
            done[name] += len(rows)
    return made


def _make(folder: Path, forms: Forms, pieces: Pieces) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _check_room(folder.parent, forms)
    with draft_of(folder) as draft:
        draft.mkdir()
        _write(draft, forms, pieces)
    kept = sorted(folder.parent.glob("[!.]*"), key=lambda it: it.stat().st_mtime)
    for old in kept[:-MOST_MADE]:
        shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, forms: Forms, pieces: Pieces) -> None:
    """Write arrays as files, not through a map, whose pages would be this process's memory."""
    with ExitStack() as open_files:
        files = {
            name: open_files.enter_context((folder / f"{name}.npy").open("wb")) for name in forms
        }
        for name, (shape, dtype) in forms.items():
            descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(files[name], header)
        for piece in pieces():
            for name, rows in piece.items():
                files[name].write(np.ascontiguousarray(rows, forms[name][1]).data)


def _check_room(folder: Path, forms: Forms) -> None:
    """Check that arrays fit on the disk, before minutes are spent to fill it.

    Raises:
        OSError: If they do not.
    """
    size = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in forms.values())
    if shutil.disk_usage(folder).free < size * 1.1 + 2**20:
        raise OSError("no room")


def _mapped(folder: Path, forms: Forms) -> dict[str, AnyArray]:
    """Return arrays of these forms as views of their files.

    Raises:
        OSError: If one is not there.
        ValueError: If one is damaged, or of another form.
    """
    found: dict[str, AnyArray] = {}
    for name, (shape, dtype) in forms.items():
        found[name] = np.load(folder / f"{name}.npy", mmap_mode="c")
        if (found[name].shape, found[name].dtype) != (shape, np.dtype(dtype)):
            raise ValueError(name)
    return found
