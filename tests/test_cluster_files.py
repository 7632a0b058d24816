"""The files that bring clusters up: valid, pinned, closed to the world; what scripts refuse."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
import ray.autoscaler._private.aws.config as aws_config
import yaml
from moto.server import ThreadedMotoServer
from ray.autoscaler._private.util import prepare_config, validate_config

from gatelab.sweeps.cluster.autoscaling import NODE_TYPES

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "cluster").glob("*.sh"))
HOSTS = ROOT / "cluster" / "hosts.sh"


def cloud_file() -> dict[str, Any]:
    """Return the cloud file as Ray reads it, with its defaults."""
    config: dict[str, Any] = prepare_config(yaml.safe_load((ROOT / "ray_cluster.yaml").read_text()))
    return config


def test_the_cloud_file_is_what_ray_takes() -> None:
    validate_config(cloud_file())
    wrong = {**cloud_file(), "max_worker": 4}
    with pytest.raises(Exception, match="max_worker"):
        validate_config(wrong)


def test_the_cloud_files_workers_are_spot_gpus_that_come_and_go() -> None:
    config = cloud_file()
    head = config["available_node_types"][config["head_node_type"]]
    gpu = config["available_node_types"]["gpu"]
    assert gpu["resources"]["GPU"] == 1 and (gpu["min_workers"], gpu["max_workers"]) == (0, 4)
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert config["idle_timeout_minutes"] == 10 and head["resources"] == {"CPU": 0}


def test_the_scripts_that_the_cloud_file_starts_are_there() -> None:
    config = cloud_file()
    keys = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
    commands = [word for key in keys for line in config[key] for word in line.split()]
    started = {word for word in commands if word.startswith("~/.gatelab/source/")}
    assert started
    for word in started:
        assert os.access(ROOT / word.removeprefix("~/.gatelab/source/"), os.X_OK), word


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Serve Amazon's interfaces, and have boto3 find them."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    yield
    server.stop()


def aws_script() -> ModuleType:
    """Return cluster/aws.py."""
    spec = importlib.util.spec_from_file_location("aws", ROOT / "cluster" / "aws.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_ssh_is_open_to_the_world(amazon: None) -> None:
    """By the rules that Ray itself makes of the file, with a real client against moto's server."""
    config = aws_config.bootstrap_aws(cloud_file())
    nodes = [node["node_config"] for node in config["available_node_types"].values()]
    (group,) = {name for node in nodes for name in node["SecurityGroupIds"]}
    ec2 = boto3.client("ec2")
    (made,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert made["GroupName"] == "gatelab"
    open_to_all = [rule for rule in made["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in open_to_all] == [(22, 22)]
    (inside,) = [rule for rule in made["IpPermissions"] if rule not in open_to_all]
    assert [pair["GroupId"] for pair in inside["UserIdGroupPairs"]] == [group]
    assert all(node["IamInstanceProfile"]["Name"].startswith("gatelab-") for node in nodes)
    assert all(node["MetadataOptions"]["HttpTokens"] == "required" for node in nodes)


def test_workers_may_use_the_bucket_and_nothing_else(
    amazon: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = aws_script()
    monkeypatch.setattr("sys.argv", ["aws.py", "mine"])
    script.main()
    script.main()  # again, for nothing
    iam = boto3.client("iam")
    worker = iam.get_role_policy(RoleName="gatelab-worker", PolicyName="gatelab")
    (statement,) = worker["PolicyDocument"]["Statement"]
    assert statement["Resource"] == ["arn:aws:s3:::mine", "arn:aws:s3:::mine/*"]
    assert {action.partition(":")[0] for action in statement["Action"]} == {"s3"}
    assert not iam.list_attached_role_policies(RoleName="gatelab-worker")["AttachedPolicies"]
    (managed,) = iam.list_attached_role_policies(RoleName="gatelab-head")["AttachedPolicies"]
    assert managed["PolicyName"] == "AmazonEC2FullAccess"
    head = iam.get_role_policy(RoleName="gatelab-head", PolicyName="gatelab")
    passed = [s for s in head["PolicyDocument"]["Statement"] if s["Action"] == ["iam:PassRole"]]
    assert [s["Resource"].rpartition("/")[2] for s in passed] == ["gatelab-worker"]
    profile = iam.get_instance_profile(InstanceProfileName="gatelab-head")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["gatelab-head"]
    closed = boto3.client("s3").get_public_access_block(Bucket="mine")
    assert all(closed["PublicAccessBlockConfiguration"].values())
    assert "GATELAB_STORAGE=s3://mine/gatelab" in capsys.readouterr().out


def test_the_kubernetes_manifest() -> None:
    cluster, claim, network = yaml.safe_load_all((ROOT / "cluster" / "kuberay.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert (claim["kind"], network["kind"]) == ("PersistentVolumeClaim", "NetworkPolicy")
    spec = cluster["spec"]
    assert spec["rayVersion"] == version("ray") and spec["authOptions"] == {"mode": "token"}
    dashboard = spec["headGroupSpec"]["rayStartParams"]
    assert (dashboard["dashboard-host"], dashboard["dashboard-port"]) == ("127.0.0.1", "8266")
    assert network["spec"]["podSelector"]["matchLabels"] == {
        "ray.io/cluster": cluster["metadata"]["name"]
    }
    head = spec["headGroupSpec"]["template"]["spec"]
    (workers,) = spec["workerGroupSpecs"]
    (worker,) = workers["template"]["spec"]["containers"]
    names = [source["secretRef"]["name"] for source in worker["envFrom"]]
    assert names == ["gatelab-storage"], "MLflow's password is the head's"
    limits = worker["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"
    variables = {entry["name"]: entry["value"] for entry in head["containers"][0]["env"]}
    assert yaml.safe_load(variables[NODE_TYPES]) == {
        workers["groupName"]: {
            "resources": {"CPU": int(limits["cpu"]), "GPU": int(limits["nvidia.com/gpu"])},
            "max_workers": workers["maxReplicas"],
        }
    }
    ours = f"gatelab:{version('gatelab')}"
    assert {container["image"] for container in [*head["containers"], worker]} == {ours}
    base = (ROOT / "cluster" / "Dockerfile").read_text()
    assert f"FROM rayproject/ray:{version('ray')}-py3" in base


def test_ray_and_mlflow_are_behind_the_proxy() -> None:
    """The ports of loopback that it leads to are those where they listen."""
    node, mlflow = ((ROOT / "cluster" / name).read_text() for name in ("node.sh", "mlflow.sh"))
    assert 'python "$here/proxy.py" 8265:8266 5000:5001' in node
    assert "--dashboard-host=127.0.0.1 --dashboard-port=8266" in node
    assert "mlflow server --host 127.0.0.1 --port 5001" in mlflow


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)


def run(*command: str | Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    return subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("role", ["head", "worker"])
def test_secrets_are_made_once_and_only_their_user_reads_them(role: str, tmp_path: Path) -> None:
    state = tmp_path / ".gatelab"
    state.mkdir()
    (state / "settings.env").write_text("GATELAB_STORAGE='s3://b/f?scheme=http&x=y'\nAWS_KEY=k\n")
    (state / "settings.env").chmod(0o600)
    script = ROOT / "cluster" / "secrets.sh"
    made = []
    for _ in range(2):
        result = run(script, role, home=tmp_path)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        made.append({path.name: path.read_bytes() for path in state.iterdir() if path.is_file()})
    assert made[0] == made[1]
    files = {"settings.env", "env"} | ({"ray_token", "mlflow_key"} if role == "head" else set())
    assert set(made[0]) == files
    assert {oct(path.stat().st_mode & 0o777) for path in state.iterdir()} <= {"0o600", "0o700"}
    shown = run("bash", "-c", ". ~/.gatelab/env; env", home=tmp_path, GATELAB_FOLDER="/data").stdout
    lines = dict(line.split("=", 1) for line in shown.splitlines())
    assert lines["GATELAB_STORAGE"] == "s3://b/f?scheme=http&x=y" and lines["AWS_KEY"] == "k"
    assert lines["RAY_AUTH_MODE"] == "token" and lines["GATELAB_FOLDER"] == "/data"
    assert lines["RAY_AUTH_TOKEN_PATH"] == str(state / "ray_token")
    assert ("MLFLOW_TRACKING_PASSWORD" in lines) == (role == "head")


def test_a_host_without_settings(tmp_path: Path) -> None:
    result = run(ROOT / "cluster" / "secrets.sh", "head", home=tmp_path)
    assert result.returncode == 2 and "no GATELAB_STORAGE in" in result.stderr
    assert not (tmp_path / ".gatelab" / "env").exists()


def test_what_the_hosts_script_refuses(tmp_path: Path) -> None:
    """Before it reaches for any host: `false` stands for SSH."""
    hosts, settings = tmp_path / "hosts.txt", tmp_path / "settings.env"

    def refused(*words: str | Path) -> str:
        variables = {"GATELAB_SSH": "false", "GATELAB_SETTINGS": str(settings)}
        result = run(HOSTS, *words, home=tmp_path, **variables)
        assert result.returncode == 2 and not result.stdout, result
        return result.stderr

    assert "hosts.sh up FILE" in refused("up")
    assert f"no such file: {hosts}" in refused("up", hosts)
    hosts.write_text("# none yet\n\n")
    assert "no host in it" in refused("up", hosts)
    hosts.write_text("10.0.0.1  # the head\n")
    assert "no command halt; there are up, add, remove, status, down" in refused("halt", hosts)
    assert f"no settings: {settings}" in refused("up", hosts)
    settings.write_text("GATELAB_STORAGE=s3://b\n")
    settings.chmod(0o644)
    assert f"chmod 600 {settings}" in refused("up", hosts)


def test_a_host_that_cannot_be_reached_fails_by_name(tmp_path: Path) -> None:
    hosts, settings = tmp_path / "hosts.txt", tmp_path / "settings.env"
    hosts.write_text("10.0.0.1\n10.0.0.2\n")
    settings.write_text("GATELAB_STORAGE=s3://b\n")
    settings.chmod(0o600)
    (tmp_path / "ssh").write_text('#!/bin/sh\necho "no route to $1" >&2\nexit 255\n')
    (tmp_path / "ssh").chmod(0o700)
    variables = {"GATELAB_SSH": str(tmp_path / "ssh"), "GATELAB_SETTINGS": str(settings)}
    result = run(HOSTS, "up", hosts, home=tmp_path, **variables)
    assert result.returncode == 1
    assert "10.0.0.2: no route to 10.0.0.2" in result.stderr
