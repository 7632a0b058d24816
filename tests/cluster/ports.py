"""Ports: one that is free, and whether somebody listens at one."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of loopback that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether something accepts a connection."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return not probe.connect_ex((host, port))
