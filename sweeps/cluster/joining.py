"""Joining: a Ray cluster that is there already, or Ray on this machine alone."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryFile

import ray
from ray.exceptions import AuthenticationError
from ray.job_config import JobConfig

from gatelab.own_modules import find_in
from gatelab.sweeps.cluster.access import ClusterError, keep_own_token, one_line
from gatelab.sweeps.cluster.heads_port import check_head

TIMED_OUT = "timed out during startup"
NONE_HERE, REFUSED = "Could not find any running Ray instance", "Failed to connect to Ray cluster"
"""What Ray says where `auto` finds none, and of any head that answers but does not let us in."""

_APART = ContextVar("apart", default=False)
"""Whether children that are started leave the group of this process."""

_STARTED: set[str] = set()
"""Addresses of what this process has started here."""


def join(code: Path | None = None) -> None:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine alone.

    Args:
        code: The working directory of all workers, where a job has not set it.

    Raises:
        ClusterError: If the cluster cannot be joined.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        check_head(address)
    else:
        _check_files()
    try:
        with _terms_as_before():
            _init_in_time(address, code)
    except (AuthenticationError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(_why_not_joined(address, error)) from error
    except Exception as error:
        if TIMED_OUT not in str(error):
            raise
        raise ClusterError(f"Ray {TIMED_OUT}, twice: is the machine busy? Try again.") from error
    if not address:
        keep_own_token()
        _note_started()


def _note_started() -> None:
    _STARTED.add(ray.get_runtime_context().gcs_address)


def is_started_here(address: str) -> bool:
    """Return whether :func:`join` has started the Ray at an address in this process."""
    return address in _STARTED


@contextmanager
def _terms_as_before() -> Iterator[None]:
    """Let SIGTERM do afterwards what it did before; Ray's own handler saves nothing.

    That ends the process with the signal's number; while Ray starts, it is a Ctrl-C as any other.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from None
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _init_in_time(address: str | None, code: Path | None) -> None:
    try:
        _init(address, code)
    except Exception as error:  # of no class of its own: a part of a node was not up in 15 s
        if TIMED_OUT not in str(error):
            raise
        ray.shutdown()
        _init(address, code)  # a busy machine has read from its disk by now what Ray needs


def _init(address: str | None, code: Path | None) -> None:
    with warnings.catch_warnings(), _silent() if address else _children_apart():
        warnings.simplefilter("ignore", FutureWarning)  # Ray's, of its own changes to come
        ray.init(
            address or "local",  # else Ray waits for any that was once started here, and killed
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"working_dir": str(code)} if code else None,
            job_config=JobConfig() if code else _without_folder(),
        )


@contextmanager
def _children_apart() -> Iterator[None]:
    """Let children be groups of their own: what a shell or `timeout` sends to this one ends none.

    Without Ray's own processes a driver could stop nothing in order, and would wait a minute for
    them. They end with it, whatever ends it.
    """
    token = _APART.set(True)
    try:
        yield
    finally:
        _APART.reset(token)


def _leave_group() -> None:
    if _APART.get():
        os.setpgid(0, 0)


os.register_at_fork(after_in_child=_leave_group)  # Ray's start has no option for it


def _without_folder() -> JobConfig:
    """Keep Ray from making the working directory a place of modules in its workers by itself.

    It would do so before they import gatelab, and a folder `gatelab` there would be taken for it;
    :func:`find_modules` does so afterwards. Ray's private ``_client_job``, made for drivers whose
    directory is on another machine, changes nothing else where no code is uploaded.
    """
    return JobConfig(_client_job=True)


def users_folder() -> str | None:
    """Return where the user's own modules lie; ``None`` where Ray has given them to its workers."""
    shipped = "working_dir" in ray.get_runtime_context().runtime_env
    return None if shipped else os.getcwd()


def find_modules(folder: str | None) -> None:
    """Let this process find the modules of the driver's :func:`users_folder` as that does."""
    if folder is not None:
        find_in(folder)


@contextmanager
def _silent() -> Iterator[None]:
    """Hide what Ray's core prints, past Python, at each of its tries with a wrong token."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_files() -> None:
    """Find out at once that no file can be written; Ray's processes die of it without a word."""
    place = Path(os.environ.get("RAY_TMPDIR", "/tmp"))
    if not place.is_dir():  # Ray makes it
        return
    try:
        with TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        raise ClusterError(
            f"Ray cannot be started: no file can be written in {place}: {error.strerror}; make "
            "room there, or see `ulimit -f`."
        ) from error


def _why_not_joined(address: str | None, error: Exception) -> str:
    if address is None:
        return f"Ray cannot be started: {one_line(error)}."
    if NONE_HERE in str(error):
        return (
            f"RAY_ADDRESS={address}, but no Ray runs on this machine: start one with `ray start "
            "--head`, or unset RAY_ADDRESS."
        )
    if REFUSED in str(error):
        return (
            f"the cluster at RAY_ADDRESS={address} cannot be joined: the token must be the one "
            "that its head was started with."
        )
    return f"the cluster at RAY_ADDRESS={address} cannot be joined: {str(error).splitlines()[0]}"
