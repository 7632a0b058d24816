"""The doctor on two real nodes, of which one is wrong in one way at a time."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from gatelab.sweeps.cluster.access import ClusterError
from gatelab.sweeps.cluster.doctor import check_cluster, check_folder, check_mlflow, examine
from gatelab.sweeps.cluster.node_checks import (
    NodeCheck,
    check_names,
    check_plug_ins,
    check_resources,
    check_same_data,
    check_storage,
    check_versions,
)
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import Spec, SpecError
from tests.ray_heads import forget_token, head, node

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TASK = '''
import os
from pathlib import Path
from gatelab.tasks import SyntheticGroups, register_task

DATA = Path(os.environ["DOCTORS_DATA"])

@register_task("doctors_task")
class Read(SyntheticGroups):
    """Reads its rows, or a part of them, where this node has them."""

    def __init__(self) -> None:
        rows = int((DATA / "rows").read_text()) if (DATA / "rows").exists() else 0
        super().__init__(num_targets=2, train_rows=rows or 32, val_rows=32, test_rows=32)

    def split(self, name):
        if not (DATA / "rows").exists():
            raise FileNotFoundError(f"no file {DATA / 'rows'}")
        return super().split(name)
'''
GATE = '''
import os
from gatelab.gates import SoftmaxGate, register_gate
if "odd" in os.environ["DOCTORS_DATA"]:
    import no_such_library

@register_gate("doctors_gate")
class Doctors(SoftmaxGate):
    """Needs what one node lacks."""
'''


@dataclass(frozen=True)
class Two:
    """A cluster of a head, which is as it should be, and an odd node."""

    odd: Path
    """Where the odd node looks for modules and data, before it looks elsewhere."""
    odd_name: str
    raylet: psutil.Process

    def fake(self, package: str, version: str, entries: str = "") -> None:
        """Let the odd node believe that a version of a package is installed."""
        info = self.odd / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(entries)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Run the nodes, and join them from this process."""
    from gatelab.sweeps.cluster import joining, nodes

    folder = tmp_path_factory.mktemp("doctor")
    even, odd = folder / "even", folder / "odd"
    for data in (even, odd):
        data.mkdir()
        (data / "rows").write_text("64")
    (folder / "doctors_task.py").write_text(TASK)
    (folder / "doctors_gate.py").write_text(GATE)
    path = str(folder)
    settings = {"DOCTORS_DATA": str(odd), "PYTHONPATH": f"{odd}:{path}"}
    with (
        pytest.MonkeyPatch.context() as patch,
        head(DOCTORS_DATA=str(even), PYTHONPATH=path) as started,
    ):
        with node(started, odd, "--num-cpus=1", "--num-gpus=1", **settings) as raylet:
            patch.setenv("DOCTORS_DATA", str(even))
            patch.setenv("RAY_ADDRESS", started.ray_address)
            patch.setenv("RAY_AUTH_TOKEN_PATH", str(started.token_path))
            patch.syspath_prepend(folder)
            forget_token()
            joining.join()
            deadline = time.monotonic() + 60
            while len(known := nodes.nodes()) < 2 and time.monotonic() < deadline:
                time.sleep(0.2)
            yield Two(odd, known[1].name, raylet)
            joining.ray.shutdown()


@pytest.fixture(autouse=True)
def mended(cluster: Two) -> Iterator[None]:
    """Leave the odd node as it was."""
    yield
    (cluster.odd / "rows").write_text("64")
    for info in cluster.odd.glob("*.dist-info"):
        for file in info.iterdir():
            file.unlink()
        info.rmdir()


def spec(**more: object) -> Spec:
    return parse_spec(
        {"name": "well", "task": "doctors_task:doctors_task", "gates": ["softmax"], **more}
    )


def found() -> list:
    from gatelab.sweeps.cluster.nodes import nodes

    return nodes()


def test_a_cluster_that_is_well(cluster: Two, tmp_path: Path) -> None:
    """All but the GPU, which the odd node claims, and torch does not see on it."""
    storage, uri = tmp_path / "new" / "storage", f"sqlite:///{tmp_path}/mlflow.db"
    checks = list(examine(spec(), str(storage), uri))
    assert [check.name for check in checks] == [
        *("token", "cluster", "versions", "gpus", "plug-ins", "resources"),
        *("gates and task", "data", "storage", "mlflow"),
    ]
    assert {check.name: check.line for check in checks if not check.ok} == {
        "gpus": f"node {cluster.odd_name} has 1 for Ray and 0 for torch; "
        "install a CUDA build of torch there that fits its driver."
    }
    assert checks[1].found == "nodes: 2, CPUs: 3, GPUs: 1"
    assert not list(tmp_path.iterdir()), "and nothing is left"
    check_cluster(spec(), make_task(spec()), str(storage))
    assert not list(tmp_path.iterdir())
    storage.mkdir(parents=True)
    check_cluster(spec(), make_task(spec()), str(storage))
    assert storage.is_dir(), "what was there stays"


def refusal(check: NodeCheck) -> str:
    assert not check.ok, check
    return check.line


def test_versions_that_differ(cluster: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.fake("optuna", "4.0.0")
    line = refusal(check_versions(found(), None))
    assert line.startswith("optuna is 5.") or line.startswith("optuna is ")
    assert f"4.0.0 on node {cluster.odd_name}" in line
    assert line.endswith("; install the versions of one constraints.txt everywhere.")
    with pytest.raises(SpecError, match="optuna is"):
        check_cluster(spec(), make_task(spec()), "/proc/never/looked/at")


def test_versions_of_the_machine_that_launches(cluster: Two) -> None:
    from gatelab.sweeps.cluster import probes

    ours = probes.versions()
    built_otherwise = {**ours, "torch": ours["torch"].partition("+")[0] + "+cu130"}
    assert check_versions(found(), built_otherwise).ok
    older = {**ours, "torch": "2.0.1"}
    line = refusal(check_versions(found(), older))
    assert "2.0.1 on the machine that launches" in line


def test_data_that_a_node_lacks(cluster: Two, tmp_path: Path) -> None:
    (cluster.odd / "rows").unlink()
    assert refusal(check_same_data(found(), spec())) == (
        f"node {cluster.odd_name}: FileNotFoundError: no file {cluster.odd / 'rows'}; "
        "put the same files in the same place on every node."
    )
    with pytest.raises(SpecError, match="^task: node .*no file"):
        check_cluster(spec(), make_task(spec()), str(tmp_path / "storage"))
    assert not list(tmp_path.iterdir())


def test_data_that_differ(cluster: Two) -> None:
    (cluster.odd / "rows").write_text("48")
    line = refusal(check_same_data(found(), spec()))
    assert line.startswith("the data are not the same: fingerprint ")
    assert f" on node {cluster.odd_name}" in line


def test_a_gate_that_a_node_cannot_import(cluster: Two) -> None:
    said = refusal(check_names(found(), spec(gates=["softmax", "doctors_gate:doctors_gate"])))
    said, place = (
        re.sub(r" \(\S+, line \d+\)", "", said),
        re.search(r"doctors_gate\.py, line", said),
    )
    assert place and said == (
        f"node {cluster.odd_name}: gate 'doctors_gate:doctors_gate': cannot import 'doctors_gate': "
        "ModuleNotFoundError: No module named 'no_such_library'; "
        "install its package on every node, or launch from where its module is."
    )


def test_a_plug_in_that_a_node_cannot_load(cluster: Two) -> None:
    from gatelab.sweeps.cluster import joining

    cluster.fake("sick", "1.0", "[gatelab.gates]\nsick = no_such_module\n")
    joining.ray.shutdown()  # workers that have looked look no more; the next driver has new ones
    joining.join()
    line = refusal(check_plug_ins(found()))
    assert line.startswith(f"node {cluster.odd_name}: gate 'sick' of package 'sick' cannot be")


def test_more_than_a_node_has(cluster: Two) -> None:
    def told(**needs: float) -> str:
        return refusal(check_resources(found(), Needs(**{"cpus": 1, "gpus": 0, **needs})))

    (first, second) = (entry.name for entry in found())
    assert told(gpus=2) == (
        f"`gpus <= 1` must hold, what one node has (0 on node {first}, 1 on node {second}), "
        "but got (gpus=2); lower it, or add a node."
    )
    assert told(cpus=3).startswith("`cpus <= 2` must hold")
    none = [replace(found()[0], cpus=0.0)]  # as by `ray start --num-cpus 0`
    assert refusal(check_resources(none, Needs(1, 0))).endswith("; add a node that has some.")
    assert told(cpus=2, gpus=1) == "no node has (cpus=2, gpus=1); lower one."
    assert check_resources(found(), Needs(cpus=1, gpus=0.5)).ok
    with pytest.raises(SpecError, match="^resources.gpus: `gpus <= 1`"):
        check_cluster(spec(resources={"gpus": 2}), make_task(spec()), "/proc/never/looked/at")


def test_storage_of_each_nodes_own(cluster: Two) -> None:
    """As a path on a disk that is not shared: here each worker's folder is its node's."""
    line = refusal(check_storage(found(), "/proc/self/cwd/storage"))
    assert line.startswith("/proc/self/cwd/storage: node ")
    assert " does not find what node " in line
    assert line.endswith(
        "; --storage or GATELAB_STORAGE must be s3:// or a path that all nodes share."
    )
    assert not (cluster.odd / "storage").exists()


def test_storage_that_cannot_be_written(cluster: Two, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refusal(check_storage(found(), str(tmp_path / "file" / "storage")))
    assert f"{tmp_path}/file/storage cannot be used: node " in line
    assert "Not a directory" in line


def test_a_node_that_does_not_answer(cluster: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelab.sweeps.cluster.node_checks.SECONDS", 5)
    cluster.raylet.send_signal(signal.SIGSTOP)
    try:
        line = refusal(check_plug_ins(found()))
    finally:
        cluster.raylet.send_signal(signal.SIGCONT)
    assert line.startswith(f"node {cluster.odd_name}: no answer in 5 s; ")


def test_mlflow_that_cannot_be_reached() -> None:
    line = refusal(check_mlflow("http://user:hunter2@127.0.0.1:9"))
    assert "127.0.0.1:9" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("address", "fragment"),
    [
        ("http://127.0.0.1:8265", "RAY_ADDRESS must be HOST:PORT, of Ray itself, but got 'http"),
        ("127.0.0.1:1", "no cluster answers at RAY_ADDRESS=127.0.0.1:1: Connection refused"),
    ],
)
def test_a_cluster_that_cannot_be_joined(
    address: str, fragment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatelab.sweeps.cluster import joining

    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(joining.ray, "is_initialized", lambda: False)
    with pytest.raises(ClusterError, match=fragment):
        joining.join()


def test_a_jobs_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_folder().ok
    monkeypatch.setenv("GATELAB_LAUNCHED_FROM", json.dumps({}))
    for folder in ("", "gatelab"):
        monkeypatch.setenv("GATELAB_FOLDER", folder)
        assert "GATELAB_FOLDER must be an absolute path on the head" in refusal(check_folder())
    monkeypatch.setenv("GATELAB_FOLDER", "/srv/gatelab")
    assert check_folder().ok
