"""Whether the files of a data set are here, and are the published ones."""

from __future__ import annotations

from collections.abc import Iterator

from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet
from gatelab.tasks.data_sets.unpacking import check_digest


def checked_files(data_set: DataSet) -> Iterator[tuple[bool, str]]:
    """Yield for each file whether it is as it should be, and a line that says so."""
    for file in data_set.files:
        try:
            place = data_set.found(file.name)
            digest = check_digest(place, file)
        except (DataError, OSError) as error:
            yield False, str(error)
            continue
        known = "as published" if file.sha256 else "no hash known to compare it with"
        yield True, f"{place}: sha256 {digest} of the unpacked bytes, {known}"


def unlike_published(data_set: DataSet) -> tuple[str, ...]:
    """Return a line for each file here that is not the published one."""
    return tuple(line for file in data_set.files for line in _unlike(data_set, file))


def is_published(data_set: DataSet, name: str) -> bool:
    """Return whether a file here, by its name, is known to be the published one."""
    file = next(file for file in data_set.files if file.name == name)
    return file.sha256 is not None and not _unlike(data_set, file)


def _unlike(data_set: DataSet, file: DataFile) -> tuple[str, ...]:
    place = data_set.place(file)
    if place is None or file.sha256 is None:
        return ()
    try:
        check_digest(place, file)
    except (DataError, OSError) as error:
        return (str(error),)
    return ()
