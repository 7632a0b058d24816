"""A server's answer that is lost on its way: what it answered to is not done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from gatelab.tracking.dashboard import serve
from gatelab.tracking.mlflow_read import history, read_sweep
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri

CHANGES = ("/runs/create", "/runs/log-batch", "/runs/update", "/runs/delete")


@contextmanager
def forgetful(behind: str) -> Iterator[tuple[str, list[str]]]:
    """Lead to a server, and lose the first answer to each kind of change; yield what was lost."""
    lost: list[str] = []

    class Way(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = {"Content-Type": "application/json"}
            answer = requests.request(self.command, behind + self.path, data=body, headers=kind)
            change = next((end for end in CHANGES if self.path.endswith(end)), None)
            if change and lost.count(change) < 2:
                lost.append(change)
                return  # and the connection ends
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Way) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", lost
        server.shutdown()


@pytest.mark.slow
def test_nothing_is_there_twice(tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    with (
        serve(uri, log=tmp_path / "server.log") as server,
        forgetful(server.address) as (way, lost),
    ):
        taken = Recorder(tmp_path / "spool.jsonl", uri=way, experiment="e", sweep="s")
        for name in ("s/a", "s/b", "s/c"):
            tags = {"sweep": "s", "stage": "evaluate"}
            for value in (0.0, 1.0):  # it begins anew
                taken.start_run(name, parent=None, name=name, tags=tags, params={"k": 2}, anew=True)
                taken.log_metrics(name, 1, {"loss": value})
                assert taken.flush()
            taken.end_run(name, "FINISHED", {"end": "finished"})
        assert taken.close()
    assert {*lost} == {*CHANGES}
    runs = read_sweep(uri, "s", trials=True).runs
    assert sorted(run.name for run in runs) == ["s/a", "s/b", "s/c"]
    assert {run.end for run in runs} == {"finished"}
    assert [history(uri, run.run_id, "loss") for run in runs] == 3 * [[(1, 1.0)]]
