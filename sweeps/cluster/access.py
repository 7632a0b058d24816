"""Access to a Ray cluster: an address that answers, a token that it wants and that is kept safe."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests

CONNECT_SECONDS, ANSWER_SECONDS = 3.05, 20
"""How long the first request waits for a connection, and for its answer."""
TUNNEL = "is the tunnel open (`ssh -N -L 8265:127.0.0.1:8265 HEAD`)?"


class ClusterError(Exception):
    """A cluster cannot be used as asked; its one line says why, and the mend."""


def check_address(address: str) -> str:
    """Return a dashboard's address without the slash at its end.

    Raises:
        ClusterError: If it cannot be one.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(
            f"the address must be of the head's dashboard, http://HOST:8265, but got {address!r}."
        )
    return address.rstrip("/")


def check_locked(address: str) -> None:
    """Ask without a token, which must be refused.

    Raises:
        ClusterError: If nobody answers, or another server does, or anyone may run code there.
    """
    try:
        answer = requests.get(f"{address}/api/version", timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
    except requests.RequestException as error:
        why = f"no cluster answers at {address}: {one_line(error)}"
        raise ClusterError(f"{why}; {TUNNEL}") from error
    if answer.ok and "ray_version" in answer.text:
        raise ClusterError(
            f"the cluster at {address} is open to anyone who reaches it: start Ray on every node "
            "with RAY_AUTH_MODE=token and the same token."
        )
    if answer.status_code == HTTPStatus.BAD_GATEWAY:
        raise ClusterError(
            f"{address} answers, but Ray behind it does not: it starts, or "
            "`cluster/hosts.sh status hosts.txt` and ~/.gatelab/logs/ray.log of the head say more."
        )
    if answer.status_code != HTTPStatus.UNAUTHORIZED or "token" not in answer.text:
        raise ClusterError(
            f"{address} answers, but not as Ray's dashboard does "
            f"({answer.status_code} {answer.reason}): is it the address of another server?"
        )


def token_source() -> str:
    """Return where Ray takes its token from: a variable, or a file."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    return os.environ.get("RAY_AUTH_TOKEN_PATH") or str(Path.home() / ".ray" / "auth_token")


def check_token() -> str:
    """Return where the token is, which is not looked at.

    Raises:
        ClusterError: If there is none, or others on this machine may read it.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode != "token":
        raise ClusterError(f"no token is sent while RAY_AUTH_MODE is {mode!r} here: unset it.")
    source = token_source()
    if source == "RAY_AUTH_TOKEN":
        return source
    try:
        found = Path(source).stat()
    except OSError as error:
        raise ClusterError(
            f"there is no token in {source} ({error.strerror}): copy the head's there, or set "
            "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH."
        ) from error
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ClusterError(
            f"others on this machine may read the token in {source} "
            f"(mode {stat.S_IMODE(found.st_mode):o}): `chmod 600 {source}`."
        )
    return source


def keep_own_token() -> None:
    """Make the token private that Ray has made for this user, which others may read."""
    with suppress(OSError):
        (Path.home() / ".ray" / "auth_token").chmod(stat.S_IRUSR | stat.S_IWUSR)


def one_line(error: BaseException) -> str:
    """Return what lies at the bottom of an error, in one line."""
    cause: BaseException | None = error
    while cause is not None:
        error, cause = cause, cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
