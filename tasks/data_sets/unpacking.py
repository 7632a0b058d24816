"""Bytes out of what was downloaded: gzip, zip and tar, never outside the folder."""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from gatelab.rules import as_line
from gatelab.tasks.data_sets.data_set import DataError, DataFile

_PIECE = 1 << 20
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError)
_PAGE_SIGNS = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")
UNPACKED = "unpacked"
"""The folder beside an archive into which a file is taken out of it."""


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file's unpacked bytes.

    Raises:
        DataError: If it is not there, is a web page, or is damaged, also while it is read.
    """
    try:
        _check_no_page(path)
        file = _open(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        with file:
            yield file
    except _DAMAGED as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path} is truncated or no {path.suffix} file: {why}.") from error


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _check_no_page(path: Path) -> None:
    with path.open("rb") as file:
        begin = file.read(512).removeprefix(BOM_UTF8).lstrip().lower()
    if begin.startswith(_PAGE_SIGNS):
        raise DataError(f"{path} is a web page (HTML) under the name of the file.")
    if not begin:
        raise DataError(f"{path} is empty.")


def digest_of_bytes(path: Path) -> str:
    """Return the SHA-256 of a file's unpacked bytes, 64 hexadecimal digits.

    Raises:
        DataError: If it is damaged.
    """
    digest = hashlib.sha256()
    with opened(path) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def check_digest(path: Path, file: DataFile) -> str:
    """Return the SHA-256 of a file's unpacked bytes, which is as it should be, if that is known.

    Raises:
        DataError: If it is not, with both, or the file is damaged.
    """
    found = digest_of_bytes(path)
    if file.sha256 is not None and found != file.sha256:
        raise DataError(
            f"{path} is not the published file: expected sha256 {file.sha256} of the unpacked "
            f"bytes, but found {found}."
        )
    return found


def take_out(path: Path, file: DataFile) -> Path:
    """Return the file itself: what was downloaded, or what stands in it as an archive, beside it.

    Raises:
        DataError: If the archive is damaged, has an entry that is no plain file within its folder,
            or has not one of the file's name.
    """
    if not file.url.lower().endswith(_ARCHIVES):
        return path
    _check_no_page(path)
    target = path.with_name(UNPACKED) / file.name
    target.parent.mkdir()
    try:
        if zipfile.is_zipfile(path):
            _from_zip(path, target)
        else:
            _from_tar(path, target)
    except DataError:
        raise
    except Exception as error:  # of a damaged archive these libraries raise almost anything
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # it is of the disk, not a place before the file's beginning
        why = as_line(str(error).partition(":")[0], 200) or type(error).__name__
        raise DataError(f"{path} is truncated or no archive that can be read: {why}.") from error
    return target


def _from_zip(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_plain_file(member.filename)
        entry = _the_entry([it.filename for it in archive.infolist()], target.name)
        with archive.open(entry) as source, target.open("wb") as written:
            shutil.copyfileobj(source, written, _PIECE)


def _from_tar(path: Path, target: Path) -> None:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        for member in members:
            if not (member.isfile() or member.isdir()):
                raise _no_plain_file(member.name)
        source = archive.extractfile(_the_entry([it.name for it in members], target.name))
        assert source is not None  # as it is of a plain file
        with source, target.open("wb") as written:
            shutil.copyfileobj(source, written, _PIECE)


def _no_plain_file(entry: str) -> DataError:
    return DataError(f"the archive's entry {entry!r:.100} is no plain file.")


def _the_entry(entries: list[str], name: str) -> str:
    """Return the one entry of a file's name, in whatever folder of the archive."""
    for entry in entries:
        parts = PurePosixPath(entry.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[:1]:
            raise DataError(f"the archive's entry {entry!r:.100} lies outside of its folder.")
    fitting = [it for it in entries if not it.endswith("/") and PurePosixPath(it).name == name]
    if len(fitting) != 1:
        has = f"{len(fitting)} entries" if fitting else "no entry"
        raise DataError(f"the archive has {has} called {name}, where one is due.")
    return fitting[0]
