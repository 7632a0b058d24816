"""Ray's own start, which may fail on a busy machine: it is waited for, and tried again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import requests

from tests import ray_heads
from tests.ray_heads import NotUp, again, head, start

RAY = """#!/bin/sh
echo one >> tries
if [ "$(wc -l < tries)" -lt NEEDED ]; then
    echo "The current node timed out during startup."
    exit 1
fi
sleep 0.3  # meanwhile a head's dashboard answers already
touch up
echo "Ray runtime started."
exec sleep 60
"""
HEAD = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

tries = Path(sys.argv[1])
with tries.open("a") as file:
    print("one", file=file)
print("Ray runtime started.", flush=True)
if tries.read_text().count("one") == 1:
    sys.exit("Some Ray subprocesses exited unexpectedly.")

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

ports = dict(word.split("=", 1) for word in sys.argv[2:] if "port=" in word)
servers = [HTTPServer(("", int(ports[f"--{of}-port"])), Answers)
           for of in ("dashboard", "ray-client-server")]
Thread(target=servers[0].serve_forever).start()
servers[1].serve_forever()
"""
"""A head that joins, and dies of one of its parts when it is started for the first time."""


def stand_in(folder: Path, needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script stand for Ray's, which comes up when it has been started so often."""
    (folder / "ray").write_text(RAY.replace("NEEDED", str(needed)))
    (folder / "ray").chmod(0o700)
    monkeypatch.setattr(ray_heads, "BIN", folder)


@pytest.mark.parametrize("needed", [1, 3])
def test_a_start_is_waited_for_and_tried_again(
    needed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, needed, monkeypatch)
    process = again(lambda: start(["--head"], tmp_path, {}))
    try:
        assert (tmp_path / "up").exists()
        assert (tmp_path / "tries").read_text() == needed * "one\n"
    finally:
        process.kill()
        process.wait()


def test_what_never_comes_up_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, 4, monkeypatch)
    with pytest.raises(NotUp, match="timed out during startup"):
        again(lambda: start(["--head"], tmp_path, {}))


def test_a_head_that_died_after_it_had_joined_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "head.py").write_text(HEAD)
    script = f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/head.py" "{tmp_path}/tries" "$@"\n'
    (tmp_path / "ray").write_text(script)
    (tmp_path / "ray").chmod(0o700)
    monkeypatch.setattr(ray_heads, "BIN", tmp_path)
    with head() as started:
        assert (tmp_path / "tries").read_text() == "one\none\n"
        assert requests.get(f"{started.address}/api/jobs/").ok
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{started.address}/api/jobs/")
