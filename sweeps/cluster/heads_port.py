"""The port that RAY_ADDRESS names: whether Ray listens there, found before Ray itself tries."""

from __future__ import annotations

import os
import socket

from gatelab.sweeps.cluster.access import ANSWER_SECONDS, CONNECT_SECONDS, ClusterError, one_line

FRAME_HEAD, SETTINGS_FRAME = 9, 4
"""Bytes of the head of an HTTP/2 frame, and the kind with which both sides begin."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS_FRAME, 0, 0, 0, 0, 0])
"""With which a client begins HTTP/2 (RFC 9113, 3.4), which Ray's gRPC speaks."""


def check_head(address: str) -> None:
    """Find out in seconds that nobody listens, or not Ray; Ray tries for minutes.

    Args:
        address: What RAY_ADDRESS says.

    Raises:
        ClusterError: If it is none of Ray's.
    """
    if "://" in address:
        raise ClusterError(
            f"RAY_ADDRESS must be HOST:PORT, of Ray itself, but got {address!r}: unset it, and "
            "launch with --address from elsewhere."
        )
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):  # "auto", or what Ray refuses itself
        return
    try:
        connection = socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS)
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no cluster answers at RAY_ADDRESS={address}: {one_line(error)}; unset it to run on "
            "this machine, or start Ray there."
        ) from error
    with connection:
        if not (_is_encrypted() or _speaks_http2(connection)):
            raise ClusterError(
                f"what listens at RAY_ADDRESS={address} is not Ray: give the port of Ray itself "
                "(6379 by default; 8265 is its dashboard's), or unset it to run on this machine."
            )


def _is_encrypted() -> bool:
    """Return whether Ray uses TLS, which says nothing before it knows whom it talks to."""
    return os.environ.get("RAY_USE_TLS", "0") != "0"


def _speaks_http2(connection: socket.socket) -> bool:
    """Return whether who listens answers a greeting of HTTP/2 in its way."""
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.sendall(GREETING)
        frame = connection.makefile("rb").read(FRAME_HEAD)
    except OSError:
        return False
    return len(frame) == FRAME_HEAD and frame[3] == SETTINGS_FRAME
