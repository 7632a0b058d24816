"""What a cluster's address and token must be, before anything is asked of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gatelab.sweeps.cluster.access import ClusterError, check_address, check_locked, check_token
from tests.ray_heads import free_ports


class Other(BaseHTTPRequestHandler):
    """A server that is no dashboard of Ray, or one that wants no token."""

    text, status = "hello", 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def other() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://host:10001", "http://", "auto"])
def test_addresses_that_cannot_be(address: str) -> None:
    with pytest.raises(ClusterError, match=f"http://HOST:8265, but got '{address}'"):
        check_address(address)


def test_an_address_where_nobody_answers() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ClusterError, match="Connection refused; is the tunnel open"):
        check_locked(f"http://127.0.0.1:{port}")


def test_an_address_of_another_server(other: str) -> None:
    with pytest.raises(ClusterError, match="answers, but not as Ray's dashboard does"):
        check_locked(other)


def test_a_head_whose_ray_is_away(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Other, "status", 502)
    with pytest.raises(ClusterError, match="answers, but Ray behind it does not: it starts"):
        check_locked(other)


def test_a_cluster_that_is_open_to_anyone(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Other, "text", '{"ray_version": "2.60.0"}')
    with pytest.raises(ClusterError, match="is open to anyone who reaches it: start Ray"):
        check_locked(other)


def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    path = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    with pytest.raises(ClusterError, match=f"there is no token in {path}"):
        check_token()
    path.write_text("secret")
    for mode in (0o644, 0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(ClusterError, match=f"mode {mode:o}.*chmod 600 {path}"):
            check_token()
    path.chmod(0o600)
    assert check_token() == str(path)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert check_token() == "RAY_AUTH_TOKEN"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ClusterError, match="no token is sent while RAY_AUTH_MODE is 'disabled'"):
        check_token()
