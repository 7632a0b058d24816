"""Ports to listen on."""

from __future__ import annotations

import errno
import socket


def check_port(host: str, port: int = 0) -> int:
    """Return a port that can be had: the one that is asked for, or where that is 0 a free one.

    Raises:
        ValueError: If it is in use, or the host is no address of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
            return int(probe.getsockname()[1])
    except UnicodeError as error:
        raise ValueError(f"the host {host!r} is no name of a machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} of {host} is in use; without --port a free one is taken."
            raise ValueError(message) from error
        place = f"{host}:{port}" if port else host
        raise ValueError(f"{place} cannot be listened on: {error.strerror}.") from error


def is_free(host: str, port: int) -> bool:
    """Return whether a port can be had."""
    try:
        return check_port(host, port) == port
    except ValueError:
        return False
