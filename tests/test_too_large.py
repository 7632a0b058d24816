"""A file that is too large for a proxy before MLflow: told, left where it is, and nothing waits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from gatelab.tracking.mlflow_read import read_artifact, read_sweep
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from tests.test_store_errors import wait_for

LARGEST = 10_000


@contextmanager
def before(server: str) -> Iterator[str]:
    """Pass requests on to a server unless they are too large; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def passed_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if len(body) > LARGEST:
                self.send_error(413)
                return
            kind = {"Content-Type": self.headers.get("Content-Type", "")}
            address = f"{server}{self.path}"
            found = requests.request(self.command, address, data=body, headers=kind, timeout=60)
            self.send_response(found.status_code)
            self.end_headers()
            self.wfile.write(found.content)

        do_GET = do_POST = do_PUT = do_PATCH = passed_on

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[str]:
    """MLflow's own server, which keeps artifacts."""
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    words = ["mlflow", "server", "--port", port, "--workers", "1", "--serve-artifacts"]
    words += ["--artifacts-destination", str(tmp_path / "kept")]
    process = subprocess.Popen(
        [sys.executable, "-m", *words, "--backend-store-uri", default_uri(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(int(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_file_that_is_too_large_holds_nothing_up(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large, small = tmp_path / "large.txt", tmp_path / "small.txt"
    large.write_bytes(bytes(LARGEST + 1))
    small.write_text("small")
    with before(server) as uri:
        taken = Recorder(tmp_path / "s.jsonl", uri=uri, experiment="e", sweep="s")
        taken.start_run(
            "s", parent=None, name="s", tags={"sweep": "s", "stage": "sweep"}, params={}
        )
        taken.log_artifact("s", large)
        taken.log_artifact("s", small)
        taken.end_run("s", "FINISHED", {"end": "finished"})
        assert taken.flush(60.0) and taken.close()
        (run,) = read_sweep(uri, "s").runs
        assert run.status == "FINISHED"
        assert read_artifact(uri, run.run_id, "small.txt") == b"small"
        assert read_artifact(uri, run.run_id, "large.txt") is None
    told = f"MLflow refused artifact of s: {large} has 10,001 bytes, more than the server"
    assert told in caplog.text and large.exists()
