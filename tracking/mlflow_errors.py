"""What MLflow raises, in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from mlflow.utils.credentials import read_mlflow_creds
from sqlalchemy.exc import SQLAlchemyError

from gatelab.registry import near_misses
from gatelab.tracking.masking import masked
from gatelab.tracking.store_errors import DATABASES, StoreUnavailable, is_server

P = ParamSpec("P")
R = TypeVar("R")

SCHEMES = ("http", "https", *DATABASES)
LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
LOCKED = "database is locked"
"""What SQLite says where another program has been writing for longer than it waits."""


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises on a store into one line.

    Raises:
        StoreUnavailable: If anything inside raises an error of MLflow, its database or its files.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(masked(_message(uri, error), uri)) from error


def reading(function: Callable[Concatenate[str, P], R]) -> Callable[Concatenate[str, P], R]:
    """Decorate a function whose first argument is a tracking URI with :func:`store_errors`."""

    @functools.wraps(function)
    def read(uri: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with store_errors(uri):
            return function(uri, *args, **kwargs)

    return read


def _message(uri: str, error: Exception) -> str:
    """Return one line for an error of MLflow or its database."""
    if isinstance(error, UnsupportedModelRegistryStoreURIException):
        scheme = uri.partition(":")[0]
        return f"the tracking URI {masked(uri)} is of no known kind; {near_misses(scheme, SCHEMES)}"
    if not is_server(uri):
        why = reason(error)
        held = " by another program that writes into it: try again once that has ended"
        return f"the store {masked(uri)} cannot be used: {why}{held if why == LOCKED else ''}."
    if getattr(error, "error_code", "") == "UNAUTHENTICATED":
        return f"the MLflow server {masked(uri)} {why_no_login(uri, reason(error))}"
    if getattr(error, "error_code", "") == "PERMISSION_DENIED":
        return f"the MLflow server {masked(uri)} does not permit this to {user_of(uri)}."
    what = "answers" if isinstance(error, RestException) else "cannot be reached"
    return f"the MLflow server {masked(uri)} {what}: {reason(error)}."


def reason(error: BaseException) -> str:
    """Return the first sentence of what lies at the bottom of an error."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, LookupError):
        error, cause = cause, cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.partition(". ")[0].rstrip(".")


def why_no_login(uri: str, status: str) -> str:
    """Return why a server lets nobody in, after the status that it answers with."""
    if _login(uri) is None:
        return f"wants a password ({status}): set {LOGIN}."
    return f"refuses {user_of(uri)} ({status}): {LOGIN} must be those of a user that it knows."


def user_of(uri: str) -> str:
    """Return as whom a server is asked, in words."""
    name = _login(uri)
    return "a user without a name" if name is None else f"the user {name!r}"


def _login(uri: str) -> str | None:
    name: str | None = read_mlflow_creds().username or urlsplit(uri).username
    return name
