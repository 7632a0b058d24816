"""`gatelab ui`: MLflow's server on a store, found at once, and gone with the command."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.tracking import dashboard
from gatelab.tracking.dashboard import serve
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.ports import check_port
from gatelab.tracking.queries import of_sweep
from gatelab.tracking.sqlite import default_uri

REPORT = "<!doctype html><html><body>the answer</body></html>"


@pytest.fixture(scope="module")
def folder(put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of two sweeps, the newer with a report."""
    folder = put_store(tmp_path_factory.mktemp("ui"))
    store = Store(default_uri(folder), "e", artifacts=folder / "artifacts")
    for number, name in enumerate(("older", "newer")):
        tags = {"sweep": name, "stage": "sweep"}
        store.start_run(name, None, name, tags, {}, start_ms=1_800_000_000_000 + number)
    (folder / "report.html").write_text(REPORT)
    store.log_artifact("newer", str(folder / "report.html"), "")
    return folder


def page(folder: Path, sweep: str) -> str:
    client = open_client(default_uri(folder))
    (run,) = client.search_runs(["1"], of_sweep(sweep))
    return f"/#/experiments/1/runs/{run.info.run_id}?workflowType=machine_learning"


def refuse(*arguments: str) -> str:
    """Return the one line with which bad input is refused."""
    result = CliRunner().invoke(main, ["ui", *arguments])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    return result.stderr


def test_no_store_yet(tmp_path: Path) -> None:
    message = refuse("--folder", str(tmp_path / "none"))
    assert message.startswith("gatelab: there is no store sqlite:///")
    assert "`gatelab launch` makes it" in message
    assert not list(tmp_path.iterdir())


def test_no_such_sweep(folder: Path) -> None:
    assert "no sweep 'nwer'" in (message := refuse("nwer", "--folder", str(folder)))
    assert "did you mean 'newer'?" in message


def test_an_address_that_cannot_be_had(folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        message = refuse("--folder", str(folder), "--port", port)
    assert message == (
        f"gatelab: port {port} of 127.0.0.1 is in use; without --port a free one is taken.\n"
    )
    for host in ("203.0.113.7", "no.such.host.invalid"):  # a documentation's, and nobody's
        message = refuse("--folder", str(folder), "--host", host)
        assert message.startswith(f"gatelab: {host} cannot be listened on: ")
    assert "'a..b' is no name of a machine" in refuse("--folder", str(folder), "--host", "a..b")


def test_a_free_port_is_free_and_the_one_asked_for_is_kept() -> None:
    port = check_port("127.0.0.1")
    assert check_port("127.0.0.1", port) == port
    with closing(socket.create_server(("127.0.0.1", port))):
        with pytest.raises(ValueError, match=f"port {port} of 127.0.0.1 is in use"):
            check_port("127.0.0.1", port)


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gatelab", "ui", "--folder", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yield it and the address that it prints."""
    process = command(folder, *arguments)
    assert process.stdout is not None
    groups: set[int] = set()
    try:
        line = next((line for line in process.stdout if line.startswith("Dashboard: ")), "")
        last = line
        while last and not last.endswith("  (Ctrl-C ends it)\n"):
            last = process.stdout.readline()
        assert line and last, line
        groups = servers(process)
        yield process, line.split()[1]
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)
        for group in groups:  # which a test that fails may leave
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def get(address: str, path: str, **headers: str) -> tuple[int, str]:
    """Ask as a browser does, whatever proxy there is."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def servers(process: subprocess.Popen[str]) -> set[int]:
    """Return the process groups that the command started; what it imports runs in its own."""
    started = {group for _, parent, group in processes() if parent == process.pid}
    return started - {process.pid}


def processes() -> Iterator[tuple[int, int, int]]:
    """Yield every process that is not dead, with its parent and its group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it ended meanwhile
        if state != "Z":
            yield int(stat.parent.name), int(parent), int(group)


def left(groups: set[int], seconds: float = 20.0) -> set[int]:
    """Return the processes of groups that do not end within some time."""
    deadline = time.monotonic() + seconds
    while alive := {pid for pid, _, group in processes() if group in groups}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return alive


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def shown(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that runs, and the address that it prints, for all tests that only ask it."""
    with running(folder) as shown:
        yield shown


@pytest.mark.slow
@linux
def test_the_newest_sweep_its_artifacts_and_no_second_server(
    folder: Path, shown: tuple[subprocess.Popen[str], str]
) -> None:
    process, where = shown
    address = where.partition("/#")[0]
    assert address.startswith("http://127.0.0.1:")
    assert where == address + page(folder, "newer")
    run_id = where.partition("/runs/")[2].partition("?")[0]
    assert get(address, f"/get-artifact?path=report.html&run_uuid={run_id}") == (200, REPORT)
    assert "/static-files/" in get(address, "/")[1]
    again = CliRunner().invoke(main, ["ui", "older", "--tracking-uri", f"{address}/"])
    older = page(folder, "older")
    run, _, ending = older.partition("?")
    assert again.output.splitlines() == [
        f"Dashboard: {address}{older}",
        f"Gates:     {address}/#/experiments/1/runs?viewStateShareKey=gatelab-older&{ending}",
        f"Report:    {address}{run}/artifacts/report.html?{ending}",
    ]
    assert again.exit_code == 0
    assert len(servers(process)) == 1
    assert not Path("mlartifacts").exists() and not Path("mlruns").exists()


@pytest.mark.slow
def test_on_loopback_it_answers_to_loopbacks_names_alone(
    shown: tuple[subprocess.Popen[str], str],
) -> None:
    """It has no password: a stranger's page must not reach it by a name that leads here."""
    address = shown[1].partition("/#")[0]
    port = urlsplit(address).port
    for name in ("127.0.0.1", "localhost", "[::1]"):
        assert get(address, "/", Host=f"{name}:{port}")[0] == 200
    for name in ("evil.example", "10.evil.example", "192.168.evil.example", "localhost.evil"):
        assert get(address, "/", Host=f"{name}:{port}")[0] == 403
    search = f"{address}/api/2.0/mlflow/experiments/search"
    foreign = {"Origin": "http://evil.example"}
    everything = {"max_results": 5}
    assert requests.post(search, json=everything).status_code == 200
    assert requests.post(search, json=everything, headers=foreign).status_code == 403
    read = requests.get(
        f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", headers=foreign
    )
    assert "Access-Control-Allow-Origin" not in read.headers, "no browser hands it on"


@pytest.mark.slow
@linux
def test_ctrl_c_ends_it_with_its_server(shown: tuple[subprocess.Popen[str], str]) -> None:
    """After this nobody else may ask it: it comes last of those who do."""
    process, _ = shown
    groups = servers(process)
    assert len(groups) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not left(groups, 0.0)


@pytest.mark.slow
@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_the_command(folder: Path, number: signal.Signals) -> None:
    with running(folder, "older") as (process, shown):
        assert shown.endswith(page(folder, "older"))
        groups = servers(process)
        assert len(left(groups, 0.0)) == 2
        process.send_signal(number)
        process.wait(30)
    assert not left(groups, 0.0 if number == signal.SIGTERM else 20.0)


@pytest.mark.slow
@linux
def test_the_end_before_the_server_answers(folder: Path) -> None:
    process = command(folder)
    deadline = time.monotonic() + 120
    while not (groups := servers(process)) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120) == ("", None)
    assert process.returncode == 0
    assert groups and not left(groups, 0.0)


@pytest.mark.slow
def test_an_empty_store_on_another_address(
    put_store: Callable[[Path], Path], tmp_path: Path
) -> None:
    """MLflow lets in whom it is told to: here who asks for the address that was asked for."""
    put_store(tmp_path)
    with running(tmp_path, "--host", "127.0.0.2") as (_, shown):
        assert shown.startswith("http://127.0.0.2:") and shown.endswith("/")
        host = urlsplit(shown).netloc
        assert get(shown, "/", Host=host)[0] == 200
        assert get(shown, "/", Host="elsewhere.example")[0] == 403


@pytest.mark.slow
def test_a_server_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_GUNICORN_OPTS", "--preload")  # which MLflow refuses beside uvicorn's
    process = command(folder)
    output, _ = process.communicate()
    assert (process.returncode, output.count("\n")) == (1, 1), output
    assert "MLflow's server ended (Error: Cannot specify multiple server options" in output
    assert output.endswith(f"see {folder / 'ui.log'}.\n")


@pytest.mark.slow
def test_a_free_port_that_somebody_takes_meanwhile(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        bad_luck = [int(taken.getsockname()[1])]
        monkeypatch.setattr(
            dashboard, "check_port", lambda *a: bad_luck.pop() if bad_luck else check_port(*a)
        )
        with serve(default_uri(folder), log=tmp_path / "log") as server:
            assert server.port != taken.getsockname()[1]
            assert get(server.address, "/health") == (200, "OK")
