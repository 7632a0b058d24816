"""Downloads of a data set's files: whole and as published, or not at all."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch
import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from gatelab.durable import DRAFT, settled_as
from gatelab.rules import as_line
from gatelab.tasks.data_sets.data_set import DataError, DataFile, DataSet
from gatelab.tasks.data_sets.unpacking import UNPACKED, check_digest, take_out

_RETRIES = 2
"""Of a download that a server or the network has broken off."""
_PIECE = 1 << 16
_AS_IT_IS = {"Accept-Encoding": "identity", "User-Agent": "gatelab"}
"""A packed file must arrive packed."""
_ELSEWHERE = "; `--mirror URL` takes a file of this name from below another address"
_PATIENCE = 60
"""In seconds: so long a server may say nothing."""


def download(
    data_set: DataSet,
    *,
    accept_licence: bool = False,
    mirror: str | None = None,
    progress: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Download the files of a data set that are not here, each whole or not at all.

    Args:
        data_set: The data set.
        accept_licence: Whether the user has accepted its licence, where it asks for that.
        mirror: An address below which files of the same names lie, in place of the published one.
        progress: Whether a bar shows how far a download is.
        say: Takes a line for each file, and one where another process is waited for.

    Raises:
        DataError: If the licence is not accepted, or a file cannot be downloaded, is damaged, not
            the published one, or has no room.
    """
    if not data_set.missing:
        say(f"{data_set.name}: all files are in {data_set.folder}.")
        return
    if data_set.to_accept and not accept_licence:
        raise DataError(
            f"{data_set.name} asks that its licence be accepted first: {data_set.licence} "
            f"`gatelab data get {data_set.name} --accept-licence` does both."
        )
    try:
        data_set.folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(data_set.folder, say):
            for file in data_set.missing:  # asked again: another process may have got them
                _get(data_set, file, _address(file, mirror), progress)
                say(f"{data_set.name}: {data_set.folder / file.name} is here.")
    except OSError as error:
        raise DataError(_told_disk(error, data_set)) from error


def _address(file: DataFile, mirror: str | None) -> str:
    return f"{mirror.rstrip('/')}/{file.url.rpartition('/')[2]}" if mirror else file.url


@contextmanager
def _alone_in(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process downloads into a folder, and let none begin meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _locked(handle, folder, say):
            for left in folder.glob(f"{DRAFT}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _locked(handle: int, folder: Path, say: Callable[[str], None]) -> bool:
    """Return whether a folder could be locked: not every disk of a network can.

    Without, two processes may download the same, each into a draft of its own.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another process downloads into {folder}: waiting for it.")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _get(data_set: DataSet, file: DataFile, url: str, progress: bool) -> None:
    with TemporaryDirectory(prefix=DRAFT, dir=data_set.folder) as draft:
        try:
            packed = _fetch(url, Path(draft), progress)
        except (requests.RequestException, ValueError) as error:
            instead = _ELSEWHERE if url == file.url else ""
            raise DataError(f"{url} cannot be downloaded: {_told(error)}{instead}.") from error
        try:
            whole = take_out(packed, file)
            check_digest(whole, file)
        except DataError as error:  # which must not name a draft that is gone
            text = str(error).replace(str(packed), "it").replace(f"{draft}/{UNPACKED}/", "")
            raise DataError(f"{data_set.name}: {url} is not used: {text}") from error
        settled_as(whole, data_set.folder / file.name)


def _fetch(url: str, folder: Path, progress: bool) -> Path:
    """Download one address into a folder, again if it is broken off."""
    pooch.get_logger().setLevel(logging.ERROR)  # what it would say is said by us
    name = url.rpartition("/")[2]
    downloads = pooch.create(
        folder, base_url="", registry={name: None}, urls={name: url}, retry_if_failed=_RETRIES
    )
    by_http = pooch.HTTPDownloader(
        progressbar=progress, chunk_size=_PIECE, headers=_AS_IT_IS, timeout=_PATIENCE
    )
    return Path(downloads.fetch(name, downloader=by_http))


def _told(error: requests.RequestException | ValueError) -> str:
    if isinstance(error, requests.TooManyRedirects):
        return "the server redirects without an end"
    if not isinstance(error, requests.RequestException):
        return f"the server's answer cannot be read ({as_line(str(error), 200)})"
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    cause = error.args[0] if error.args else None
    if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
        return f"the server does not answer in {_PATIENCE} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended before the file did"
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return "what the server sends is not packed as it says"
    if isinstance(cause, ProtocolError):
        return "the connection ended without an answer of HTTP"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    return as_line(str(cause or error), 200).rstrip(".")


def _told_disk(error: OSError, data_set: DataSet) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(data_set.folder).free if data_set.folder.exists() else 0
        return (
            f"{data_set.name}: there is no room in {data_set.folder} ({free:,} bytes are free); "
            "GATELAB_DATA can name a folder on another disk."
        )
    return f"{data_set.name}: {data_set.folder} cannot be written to: {error.strerror or error}."
