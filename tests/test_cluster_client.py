"""Sweeps on a real cluster, through the commands, as from a laptop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from gatelab.tracking.mlflow_read import history, read_sweep
from gatelab.tracking.sqlite import default_uri
from tests.commands import untold
from tests.ray_heads import Head, clean_environment, free_ports, head
from tests.remote_commands import make_laptop, refused, run, start, write_spec

SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "hunter2-of-mlflow",
    "AWS_SECRET_ACCESS_KEY": "hunter2-of-storage",
}
"""The head's, beside its token."""
pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Head]:
    with head(**SECRETS, MLFLOW_TRACKING_USERNAME="gatelab") as started:
        yield started


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a gate that no node has, and things that must stay there.

    Its modules have the names of our folders, and of what once were modules of ours.
    """
    return make_laptop(tmp_path_factory.mktemp("laptop"))


def test_ray_refuses_a_request_without_its_token(cluster: Head) -> None:
    jobs, job = f"{cluster.address}/api/jobs/", {"entrypoint": "true"}
    for headers, code in (({}, 401), ({"Authorization": "Bearer wrong"}, 403)):
        assert requests.get(jobs, headers=headers).status_code == code
        assert requests.post(jobs, headers=headers, json=job).status_code == code
    assert requests.get(jobs, headers=token_header(cluster)).json() == []


def test_ray_refuses_a_request_of_a_foreign_page(cluster: Head) -> None:
    """Such a page has no token where it has bound a name anew, and an Origin in any case."""
    jobs, job = f"{cluster.address}/api/jobs/", {"entrypoint": "true"}
    rebound = {"Host": "evil.example:8265"}
    assert requests.get(jobs, headers=rebound).status_code == 401
    assert requests.post(jobs, headers=rebound, json=job).status_code == 401
    foreign = {"Origin": "http://evil.example", **token_header(cluster)}
    assert requests.post(jobs, headers=foreign, json=job).status_code == 405
    assert requests.get(jobs, headers=token_header(cluster)).json() == []


def token_header(cluster: Head) -> dict[str, str]:
    return {"Authorization": f"Bearer {cluster.token}"}


def test_a_wrong_token_and_a_wrong_address(cluster: Head, laptop: Path) -> None:
    line = refused(cluster, laptop, "status", RAY_AUTH_TOKEN="wrong")
    assert line.endswith(
        "refuses the token in RAY_AUTH_TOKEN: it must be the one that the head was started with."
    )
    (port,) = free_ports(1)
    write_spec(laptop, "nowhere")
    line = refused(
        cluster, laptop, "launch", "nowhere.yaml", "--address", f"http://127.0.0.1:{port}"
    )
    assert "Connection refused; is the tunnel open" in line
    assert not (laptop / "gatelab_runs").exists()


def test_a_driver_with_a_wrong_token(cluster: Head, laptop: Path) -> None:
    """On a node, where a driver joins Ray itself, which prints a line a second on its own."""
    settings = {"RAY_ADDRESS": cluster.ray_address, "RAY_AUTH_TOKEN": "wrong"}
    write_spec(laptop, "unknown")
    process = subprocess.run(
        [sys.executable, "-m", "gatelab", "launch", "unknown.yaml"],
        cwd=laptop,
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, untold(process.stdout)) == (2, "")
    assert process.stderr == (
        f"gatelab: unknown.yaml: the cluster at RAY_ADDRESS={cluster.ray_address} cannot be "
        "joined: the token must be the one that its head was started with.\n"
    )
    assert not (laptop / "gatelab_runs" / "sweeps" / "unknown").exists()


def test_what_the_driver_refuses(cluster: Head, laptop: Path, tmp_path: Path) -> None:
    """It comes back as one line with exit code 2, followed or not, and nothing is there of it."""
    write_spec(laptop, "greedy", more="resources: {gpus: 1}\n")
    line = refused(cluster, laptop, "launch", "greedy.yaml")
    assert line.startswith("gatelab: greedy.yaml: resources.gpus: `gpus <= 0` must hold")
    info = tmp_path / "site" / "optuna-4.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: optuna\nVersion: 4.0.0\n")
    write_spec(laptop, "older")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(info.parent)
        line = refused(cluster, laptop, "launch", "older.yaml", "--follow")
    assert "4.0.0 on the machine that launches" in line
    line = refused(cluster, laptop, "resume", "nothing")
    assert "no sweep 'nothing' in" in line
    for command in ("status", "logs", "stop"):
        assert "no sweep 'nothing' on http" in refused(cluster, laptop, command, "nothing")
    assert not (cluster.folder / "sweeps").exists()
    code, output, _ = run(cluster, laptop, "status")
    assert (code, output.count("\n")) == (0, 1)
    assert output.startswith(f"No sweep was launched on {cluster.address} since")


def wait_for_trial(cluster: Head, folder: Path, name: str) -> None:
    deadline = time.monotonic() + 120
    while "trial" not in (output := run(cluster, folder, "status", name)[1]):
        assert time.monotonic() < deadline, output
        time.sleep(0.5)


def check_a_successor(cluster: Head, folder: Path) -> None:
    """Check that another sweep goes on from the finished one, with the code shipped for that."""
    more = ("resume", "far", "evaluation.seeds=3")
    assert "needs KEY=VALUE and its own --name" in refused(cluster, folder, *more)
    assert "sweep 'far' is on the cluster already" in refused(
        cluster, folder, *more, "--name", "far"
    )
    code, output, errors = run(cluster, folder, *more, "--name", "farther", "--follow")
    assert (code, errors) == (0, "")
    assert "farther goes on from far, which stays as it is: 3 trials of every gate" in output
    assert output.count("evaluating 1 seed\n") == 2
    _, output, _ = run(cluster, folder, "status", "farther")
    assert " finished " in output


def test_from_launch_to_the_end(cluster: Head, laptop: Path, tmp_path: Path) -> None:
    """Launched, robbed of its driver, stopped, and resumed to its end from another machine."""
    write_spec(laptop, "far", epochs=150, more="resources: {members: 1}\n")
    (laptop / "hold").touch()  # on this machine, which is every node's too: trials take minutes
    check_launch(cluster, laptop)
    check_a_lost_driver(cluster, laptop)
    check_stop(cluster, laptop)
    (laptop / "hold").unlink()
    elsewhere = tmp_path / "elsewhere"  # which has nothing of it
    elsewhere.mkdir()
    code, output, errors = run(cluster, elsewhere, "resume", "far", "--follow")
    assert (code, errors) == (0, "")
    assert output.count("remote: evaluating 1 seed\n") == 2, "one member at a time, as it asks"
    check_complete(cluster, "far")
    assert "sweep 'far' is finished: `gatelab compare far`" in refused(
        cluster, elsewhere, "resume", "far"
    )
    _, output, _ = run(cluster, elsewhere, "status", "far")
    assert " finished " in output
    check_a_successor(cluster, elsewhere)
    check_no_secret_in_files(cluster)


def check_launch(cluster: Head, laptop: Path) -> None:
    # What the variable names would win over the option, in Ray's own client.
    code, output, errors = run(
        cluster, laptop, "launch", "far.yaml", RAY_ADDRESS="http://127.0.0.1:9"
    )
    assert (code, errors) == (0, "")
    shipped = [line.partition(",")[0] for line in output.splitlines() if "Ships" in line]
    assert shipped == ["Ships far.yaml", "Ships registry.py", "Ships tasks.py"]
    assert f"far: under way on {cluster.address}.\n" in output
    assert "  gatelab logs far --follow  # its lines" in output
    code_folder = cluster.folder / "sweeps" / "far" / "code"
    there = {path.name for path in code_folder.iterdir()} - {"__pycache__"}  # the driver's Python's
    assert there == {"far.yaml", "registry.py", "tasks.py"}
    assert "sweep 'far' is on the cluster already" in refused(cluster, laptop, "launch", "far.yaml")
    assert "sweep 'far' is running: `gatelab logs far" in refused(cluster, laptop, "resume", "far")


def check_a_lost_driver(cluster: Head, laptop: Path) -> None:
    """Who follows is shown that it is lost; what was lost can be resumed."""
    follower = start(laptop, "logs", "far", "--follow", cluster=cluster)
    assert follower.stdout is not None
    assert follower.stdout.readline(), "what it said so far comes at once"
    wait_for_trial(cluster, laptop, "far")
    check_no_secret_in_processes(cluster)
    driver = int((cluster.folder / "sweeps" / "far" / "lock").read_text())
    os.kill(driver, signal.SIGKILL)
    follower.communicate(timeout=120)
    assert follower.returncode not in (0, 2, None)
    _, output, _ = run(cluster, laptop, "status", "far")
    assert " failed " in output
    assert "`gatelab resume far` goes on" in output
    assert run(cluster, laptop, "resume", "far")[::2] == (0, "")


def check_stop(cluster: Head, laptop: Path) -> None:
    follower = start(laptop, "logs", "far", "--follow", cluster=cluster)
    assert follower.stdout is not None
    assert follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=120)
    assert follower.returncode == 130
    assert "far goes on without this command." in errors
    assert " running " in run(cluster, laptop, "status", "far")[1]
    code, output, errors = run(cluster, laptop, "stop", "far")
    assert (code, output) == (0, "far: stopped; `gatelab resume far` goes on.\n"), errors
    _, log, _ = run(cluster, laptop, "logs", "far")
    assert log.endswith("Stopped. `gatelab resume far` goes on where it was.\n"), "it saved all"
    assert "is not running on" in refused(cluster, laptop, "stop", "far")
    _, output, _ = run(cluster, laptop, "status")
    assert output.split()[:4] == ["sweep", "state", "started", "progress"]
    assert re.search(r"(?m)^far +stopped +[\d-]+ [\d:]+ +`gatelab resume far` goes on$", output)


def check_complete(cluster: Head, name: str) -> None:
    """Check that nothing was lost, and nothing done twice."""
    uri = default_uri(cluster.folder)
    record = read_sweep(uri, name, trials=True)
    assert Counter((run.stage, run.status) for run in record.runs) == {
        ("sweep", "FINISHED"): 1,
        ("gate", "FINISHED"): 2,
        ("search", "FINISHED"): 6,
        ("evaluate", "FINISHED"): 4,
    }
    for found in record.of("search"):
        steps = [step for step, _ in history(uri, found.run_id, "val/loss")]
        assert steps == list(range(1, 152)), "150 epochs, then the weights that were kept"


def secrets(cluster: Head) -> list[str]:
    return [cluster.token, *SECRETS.values(), "hunter2"]


def check_no_secret_in_processes(cluster: Head) -> None:
    commands = [
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    ]
    assert any("-m gatelab launch -- far.yaml" in command for command in commands)
    for secret in secrets(cluster):
        assert not [command for command in commands if secret in command]


def check_no_secret_in_files(cluster: Head) -> None:
    """Look at MLflow's store, the sweep's home, Ray's logs, and what the dashboard shows."""
    jobs = requests.get(f"{cluster.address}/api/jobs/", headers=token_header(cluster))
    assert "far-2" in jobs.text
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    logs = [path for path in cluster.logs.rglob("*.log") if path.is_file()]
    logs += [path for path in cluster.logs.rglob("*.out") if path.is_file()]
    assert len(logs) > 10
    assert {"mlflow.db", "places.json", "far.jsonl"} <= {path.name for path in files}
    for secret in secrets(cluster):
        assert secret not in jobs.text
        assert not [path for path in files + logs if secret.encode() in path.read_bytes()]


def test_the_doctor_from_afar(cluster: Head, laptop: Path) -> None:
    write_spec(laptop, "ill")
    code, output, errors = run(cluster, laptop, "doctor", "ill.yaml")
    assert (code, errors) == (0, ""), output
    lines = [line for line in output.splitlines() if not line.startswith("Ships ")]
    assert lines[0] == f"ok    address: {cluster.address} wants a token, and takes ours"
    assert {line[:6] for line in lines} == {"ok    "}
    assert [line[6:].partition(":")[0] for line in lines] == [
        *("address", "token", "cluster", "folder", "versions", "gpus", "plug-ins", "resources"),
        *("gates and task", "data", "storage", "mlflow"),
    ]
    code, output, _ = run(cluster, laptop, "doctor", RAY_AUTH_TOKEN="wrong")
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith("FAIL  address: the cluster at ")
    assert "doctor" not in run(cluster, laptop, "status")[1]
