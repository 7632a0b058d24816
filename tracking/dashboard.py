"""The dashboard: MLflow's own server on a store, for as long as somebody looks at it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gatelab.tracking.masking import masked
from gatelab.tracking.ports import check_port, is_free

LOOPBACK = "127.0.0.1"
LOCAL = {"0.0.0.0": LOOPBACK, "::": "::1"}
"""Where this machine reaches a server that listens everywhere."""
OWN_NAMES = {LOOPBACK: LOOPBACK, "localhost": "localhost", "::1": "[[]::1]"}
"""What loopback is called, each as a pattern of MLflow's."""
HealthCheck = Callable[[], None]
START_SECONDS, FIRST_SECONDS, STOP_SECONDS = 120.0, 20.0, 5.0
POLL_SECONDS = 0.1
OPTIONS = f"--log-level warning --timeout-graceful-shutdown 1 --app-dir {os.devnull}"
"""Of uvicorn, under MLflow: no line a request, no long wait for an open page at the end, and no
module of the working directory's in the place of a library's."""
CHILD = """
import ctypes, runpy, signal, sys
PR_SET_PDEATHSIG = 1  # the signal to a process of Linux whose parent ends, even by kill -9
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
runpy.run_module("mlflow", run_name="__main__", alter_sys=True)
"""


class NotServing(Exception):
    """The server does not run; its one line says why, and where the log is."""


class Server:
    """A process of MLflow's server, and of what it starts, in a group of its own."""

    def __init__(self, uri: str, host: str, port: int, log: Path) -> None:
        """Start it.

        Args:
            uri: MLflow's tracking URI of the store.
            host: The address to listen on.
            port: The port to listen on.
            log: The file for all that it says.
        """
        self.host, self.port, self.log = LOCAL.get(host, host), port, log
        command = [sys.executable, "-P", "-c", CHILD, "server", "--host", host, "--port", str(port)]
        # One worker: several answer ten times slower, since their sockets wait for more to send.
        command += ["--workers", "1", "--uvicorn-opts", OPTIONS]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                env=self._environment(uri, host),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for us, and what it starts ends with it
            )

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def _environment(self, uri: str, host: str) -> dict[str, str]:
        ours = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes that have no work
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONSAFEPATH": "1",  # as -P does, for what it starts
        }
        if host in OWN_NAMES:
            # MLflow by itself lets in 10.* besides, also where that is a name: 10.evil.example.
            names = (f"{name}:*" for name in OWN_NAMES.values())
            ours["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(names)
        elif host not in LOCAL:
            ours["MLFLOW_SERVER_ALLOWED_HOSTS"] = self.address.removeprefix("http://")
            ours["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = self.address
        # The store comes last and not as an argument, which every user of the machine could read.
        return {**ours, **os.environ, "MLFLOW_BACKEND_STORE_URI": uri}

    def wait_until_it_answers(self, check: HealthCheck) -> None:
        """Return when pages can be had.

        Raises:
            NotServing: If it ends, or takes two minutes.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            self._check_alive()
            if time.monotonic() > deadline:
                message = f"MLflow's server does not answer in {START_SECONDS:g} s; see {self.log}."
                raise NotServing(message)
            check()
            time.sleep(POLL_SECONDS)
        self._check_alive()  # or it was another's answer
        self._ask_for_runs()

    def wait(self, check: HealthCheck) -> None:
        """Wait until the check raises an error.

        Raises:
            NotServing: If the server ends by itself.
        """
        while True:
            check()
            self._check_alive()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it and all that it started."""
        group = self._process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also where another Ctrl-C comes
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        return self._status("GET", "/health") == http.client.OK

    def _ask_for_runs(self) -> None:
        """Let it import what this request needs while no other is there.

        MLflow imports its logins in the first request for runs. SQLAlchemy, which a request beside
        it lets look at all tables meanwhile, finds half of theirs and answers nothing ever after.
        """
        asked = json.dumps({"experiment_ids": ["0"], "max_results": 1})
        self._status("POST", "/api/2.0/mlflow/runs/search", asked, seconds=FIRST_SECONDS)

    def _status(self, method: str, path: str, body: str | None = None, seconds: float = 2) -> int:
        """Return the status of an answer; 0 where there is none."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)  # no proxy's
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _check_alive(self) -> None:
        if self._process.poll() is None:
            return
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        errors = [line for line in lines if "error" in line.lower()] or list(filter(None, lines))
        last = errors[-1].rstrip(".") if errors else "it says nothing"
        raise NotServing(f"MLflow's server ended ({masked(last)}); see {self.log}.")


@contextmanager
def serve(
    uri: str, *, host: str = LOOPBACK, port: int = 0, log: Path, check: HealthCheck = lambda: None
) -> Iterator[Server]:
    """Run a server on a store until the end of the context, from when it answers.

    Args:
        uri: MLflow's tracking URI.
        host: The address to listen on.
        port: The port to listen on; 0 for a free one.
        log: The file for all that it says, written anew.
        check: Called while it starts; what it raises ends the server.

    Raises:
        ValueError: If the host or the port cannot be had.
        NotServing: If it does not start.
    """
    server = _start(uri, host, port, log, check)
    try:
        yield server
    finally:
        server.stop()


def _start(uri: str, host: str, port: int, log: Path, check: HealthCheck) -> Server:
    while True:
        server = Server(uri, host, check_port(host, port), log)
        try:
            server.wait_until_it_answers(check)
            return server
        except NotServing:
            server.stop()
            if port or is_free(host, server.port):
                raise  # else somebody took the free port before it could
        except BaseException:
            server.stop()
            raise
