"""A cluster is closed to strangers."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from cluster.cluster import Cluster, Tunnel, credentials
from cluster.ports import answers

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

LOOPBACK = {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"}
NODE_PORTS = {22, 6380, 6381, 6382, 6383, 6384, 6385, *range(10002, 20000)}
"""What is open to the network on every host: SSH, and what Ray's nodes need of each other."""
HEAD_PORTS = {6379, 10001, 44217, 44227}
"""On the head besides: Ray's state, its client server, and metrics of autoscaler and dashboard."""
CLOSED = {5000, 5001, 8265, 8266}
"""On the head's loopback alone: MLflow, Ray's dashboard, and the proxy before them."""


def test_nothing_else_is_open_to_the_network(running: Cluster) -> None:
    for host in running.hosts:
        allowed = NODE_PORTS | (HEAD_PORTS if host is running.head else set())
        open_ports = {
            (port, program)
            for address, port, program in host.listening()
            if address not in LOOPBACK
        }
        assert {port for port, _ in open_ports} <= allowed, open_ports
    closed = {port for address, port, _ in running.head.listening() if address in LOOPBACK}
    assert closed >= CLOSED
    assert not any(answers(port, running.head.address) for port in {5432, *CLOSED})
    assert answers(22, running.head.address)


def test_ray_itself_refuses_who_has_no_token(running: Cluster) -> None:
    """From a machine on the same network, at the port that must be open to it."""
    ray = Path(sys.prefix) / "bin" / "ray"
    command = [str(ray), "status", "--address", f"{running.head.address}:6379"]

    asked = [started(command, variables) for variables in (*STRANGERS, friend(running))]
    *strangers, ours = [(process.communicate()[0], process.returncode) for process in asked]
    assert all(code and "node_" not in told for told, code in strangers)
    assert "node_" in ours[0]


STRANGERS = ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "wrong"})


def friend(running: Cluster) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": running.token}


def started(command: list[str], variables: dict[str, str]) -> subprocess.Popen[str]:
    """Start what says who it is in variables alone."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


CLIENT = """
import ray, sys
ray.init(sys.argv[1], logging_level="error")
print("joined", sum(node["Alive"] for node in ray.nodes()))
"""


def test_rays_client_server_refuses_who_has_no_token(running: Cluster) -> None:
    """It can be switched off by no option, and gatelab has no use for it.

    It starts a server for who may join, who gives up after 30 seconds: as on a busy machine, where
    it is asked again.
    """
    words = [sys.executable, "-c", CLIENT, f"ray://{running.head.address}:10001"]

    strangers = [started(words, variables) for variables in STRANGERS]
    assert [process.communicate()[0] for process in strangers] == ["", ""]
    ours = (started(words, friend(running)) for _ in range(3))
    assert any(process.communicate()[0] == "joined 3\n" for process in ours)


@pytest.mark.parametrize(
    ("port", "path"),
    [(6383, "/api/job_agent/jobs/"), (6383, "/logs"), (6382, "/get_or_create_runtime_env")],
)
def test_agents_of_nodes_refuse_who_has_no_token(running: Cluster, port: int, path: str) -> None:
    for host in running.hosts:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            url = f"http://{host.address}:{port}{path}"
            assert requests.post(url, data=b"{}", headers=headers).status_code in (401, 403)


JOB = {"entrypoint": "touch /tmp/was-here"}
EXPERIMENTS = "/api/2.0/mlflow/experiments"
REQUESTS = {
    "dashboard": [
        ("GET", "/api/jobs/", None),
        ("POST", "/api/jobs/", JOB),
        ("GET", "/nodes?view=summary", None),
        ("GET", "/logs", None),
    ],
    "mlflow": [
        ("GET", "/", None),
        ("GET", f"{EXPERIMENTS}/get?experiment_id=0", None),
        ("POST", f"{EXPERIMENTS}/search", {"max_results": 5}),
        ("POST", f"{EXPERIMENTS}/create", {"name": "was here"}),
        ("POST", "/graphql", {"query": '{ test(inputString: "x") { output } }'}),
        ("GET", "/get-artifact?path=x&run_uuid=y", None),
    ],
}
"""Of each service: method, path and body; the first that has no effect must be answered."""
WRONG = {
    "dashboard": [
        {"Authorization": "Bearer wrong"},
        {"Cookie": "ray-authentication-token=wrong"},
    ],
    "mlflow": [
        {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        for login in (b"gatelab:wrong", b"gatelab:", b"admin:password", b"admin:password1234")
    ],
}
"""MLflow's own first password is among them."""
FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8265", "User-Agent": "Mozilla/5.0"},
    {"Host": "10.0.0.11:5000"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
]


def ask(tunnel: Tunnel, service: str, request: tuple[str, str, object], **options: object) -> int:
    """Return the status with which a service answers."""
    method, path, body = request
    url = getattr(tunnel, service) + path
    return requests.request(method, url, json=body, **options).status_code  # type: ignore[arg-type]


@pytest.mark.parametrize("service", REQUESTS)
def test_who_has_no_token_or_password_is_refused(
    running: Cluster, tunnel: Tunnel, service: str
) -> None:
    wrong = [{}, *WRONG[service]]
    for headers in wrong:
        for request in REQUESTS[service]:
            assert ask(tunnel, service, request, headers=headers) in (401, 403), (headers, request)
    name, mine = credentials(running, service)
    assert ask(tunnel, service, REQUESTS[service][0], headers={name: mine}) == 200


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
@pytest.mark.parametrize("service", REQUESTS)
def test_a_foreign_host_or_origin_is_refused(
    running: Cluster, tunnel: Tunnel, service: str, foreign: dict[str, str]
) -> None:
    """Also with the right token or password, which a browser may add by itself."""
    name, mine = credentials(running, service)
    for request in REQUESTS[service]:
        assert ask(tunnel, service, request, headers={name: mine, **foreign}) == 403, request
    own = {"Host": "localhost:8265", "Origin": "http://localhost:8265", name: mine}
    assert ask(tunnel, service, REQUESTS[service][0], headers=own) == 200


def test_a_refused_request_has_done_nothing(running: Cluster, tunnel: Tunnel) -> None:
    mine = dict([credentials(running, "dashboard")])
    jobs = requests.get(f"{tunnel.dashboard}/api/jobs/", headers=mine).text
    assert "was-here" not in jobs and not (running.head.disk / "tmp" / "was-here").exists()
    found = client(running, tunnel).get_experiment_by_name("was here")
    assert found is None


def client(running: Cluster, tunnel: Tunnel) -> MlflowClient:
    """Return MLflow's client with the right password."""
    os.environ.update({n: it for n, it in running.environment.items() if n.startswith("MLFLOW")})
    return MlflowClient(tunnel.mlflow)
