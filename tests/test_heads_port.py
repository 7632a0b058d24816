"""What listens where RAY_ADDRESS points: nobody, another server, or what speaks as Ray does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from gatelab.sweeps.cluster.access import ClusterError
from gatelab.sweeps.cluster.heads_port import GREETING, check_head

Answer = Callable[[socket.socket], None]


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """Yield the address of a server that answers one connection so, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            with server.accept()[0] as connection:
                answer(connection)

        served = pool.submit(serve)
        yield f"127.0.0.1:{server.getsockname()[1]}"
        served.result()


def test_a_server_of_web_pages_is_not_ray() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        with pytest.raises(ClusterError) as caught:
            check_head(address)
        server.shutdown()
    assert str(caught.value) == (
        f"what listens at RAY_ADDRESS={address} is not Ray: give the port of Ray itself (6379 by "
        "default; 8265 is its dashboard's), or unset it to run on this machine."
    )


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"+OK\r\n"])
def test_nor_is_what_says_nothing_or_something_else(said: bytes) -> None:
    with listening(lambda it: it.sendall(said)) as address, pytest.raises(ClusterError) as caught:
        check_head(address)
    assert "is not Ray" in str(caught.value)


def test_what_speaks_http2_may_be_ray() -> None:
    """Its answer comes in parts; a real head is joined in tests/test_cluster_client.py."""
    heard = []

    def answer(connection: socket.socket) -> None:
        heard.append(connection.makefile("rb").read(len(GREETING)))
        connection.sendall(b"\0\0\x06\x04")
        connection.sendall(bytes(5 + 6))

    with listening(answer) as address:
        check_head(address)
    assert heard == [GREETING]


def test_a_server_with_tls_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    with listening(lambda _: None) as address:
        check_head(address)


def test_a_port_is_a_port() -> None:
    with pytest.raises(ClusterError, match="no cluster answers at RAY_ADDRESS=127.0.0.1:70000"):
        check_head("127.0.0.1:70000")
    check_head("127.0.0.1:\N{SUPERSCRIPT TWO}")  # which Ray itself refuses
    check_head("auto")
