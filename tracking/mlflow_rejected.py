"""What no store will ever take, however often it is asked, and values that every store takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    ErrorCode,
)
from sqlalchemy.exc import DataError

from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_errors import reason, user_of
from gatelab.tracking.store_errors import StoreRefuses

OF_DATA = re.compile(
    r"\(\S*(DataError|StringDataRightTruncation|NumericValueOutOfRange"
    r"|CharacterNotInRepertoire|UntranslatableCharacter)\)"
)
"""How a server's answer begins where its database takes no such value; its code says less."""


class Rejected(Exception):
    """The store will never take this; to try again is useless."""


class UnknownRun(Exception):
    """The store has no run of an identity, which is the error's text."""


def rejected(error: Exception) -> bool:
    """Return whether an error says that the same request will never succeed."""
    if isinstance(error, StoreRefuses):  # which is of all requests, whatever it comes from
        return False
    kinds = (Rejected, UnknownRun, DataError, UnicodeError)
    if any(isinstance(cause, kinds) for cause in _causes(error)):
        return True
    text = str(error).removeprefix(f"{ErrorCode.Name(BAD_REQUEST)}: ")
    return _has_code(error, INVALID_PARAMETER_VALUE) or (
        _has_code(error, BAD_REQUEST) and OF_DATA.match(text) is not None
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _has_code(error: Exception, code: int) -> bool:
    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(code)


@contextmanager
def indispensable(uri: str, what: str) -> Iterator[None]:
    """Tell a store that rejects what everything else belongs to: no other record can follow.

    Raises:
        StoreRefuses: If what is inside is rejected.
    """
    try:
        yield
    except Exception as error:
        if not rejected(error):
            raise
        raise StoreRefuses(f"{masked(uri)} takes no {what}: {masked(reason(error))}.") from error


@contextmanager
def permitted(uri: str, experiment: str) -> Iterator[None]:
    """Tell that a user may not write into an experiment, which no waiting changes.

    Raises:
        StoreRefuses: If a server says so of anything inside.
    """
    try:
        yield
    except MlflowException as error:
        if not _has_code(error, PERMISSION_DENIED):
            raise
        raise StoreRefuses(
            f"the MLflow server {masked(uri)} does not let {user_of(uri)} write into the "
            f"experiment {experiment[:100]!r}: its owner can permit it (EDIT)."
        ) from error


def storable(value: str, longest: int) -> str:
    """Return a text as every database takes it: no longer, without NUL and halves of characters."""
    return value.encode(errors="replace").decode().replace("\0", "?")[:longest]
