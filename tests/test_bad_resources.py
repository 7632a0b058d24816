"""Resources and storage that there are not: one line, exit code 2, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gatelab.sweeps.spec.reading import load_spec
from gatelab.tracking.schema import FOLDER
from tests.bad_specs import run, spec
from tests.commands import gatelab, untold


@pytest.mark.parametrize("text", ["cpus", "cpus=many", "gpu=1", "", "cpus=1;gpus=1"])
def test_resources_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(spec())
    assert run("launch", str(tmp_path / "good.yaml"), "--resources", text) == (
        2,
        f"gatelab: --resources must be like cpus=1,gpus=0.25, but got {text!r}.\n",
    )


@pytest.mark.parametrize("text", ["cpus=1,cpus=2", "cpus=1,gpus=1, cpus=1"])
def test_a_resource_is_named_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(spec())
    line = f"gatelab: --resources must name each once, but got {text!r}.\n"
    assert run("launch", str(tmp_path / "good.yaml"), "--resources", text) == (2, line)


def test_what_an_option_says_no_override_says_too(tmp_path: Path) -> None:
    path = str(tmp_path / "good.yaml")
    Path(path).write_text(spec())
    code, message = run("launch", path, "resources.cpus=2", "--resources", "cpus=1")
    line = "resources.cpus: is overridden twice, the second time by 'resources.cpus=1.0'."
    assert (code, message) == (2, f"gatelab: {path}: {line}\n")
    code, message = run("launch", path, "name=a", "--name", "b")
    assert (code, message) == (
        2,
        f"gatelab: {path}: name: is overridden twice, the second time by 'name=b'.\n",
    )


def test_resources_are_those_of_the_spec_or_the_option(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(spec(resources="{cpus: 2, gpus: 1}"))
    code, message = run("launch", str(tmp_path / "good.yaml"), "--resources", "gpus=-1")
    assert (code, "resources.gpus" in message) == (2, True)
    loaded = load_spec(tmp_path / "good.yaml", resources={"gpus": 0.5})
    assert (loaded.resources.cpus, loaded.resources.gpus) == (2, 0.5)


@pytest.mark.slow
@pytest.mark.ray
def test_more_than_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it, where Ray would wait for such a node for ever.

    Nor is a dead Ray waited for: a file says which one was started on this machine, and one that
    was killed leaves it there.
    """
    with TemporaryDirectory(dir="/tmp") as name:  # a short name, for Ray's sockets
        folder = Path(name)
        monkeypatch.setenv("RAY_TMPDIR", name)
        (folder / "ray").mkdir()
        (folder / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        (folder / "good.yaml").write_text(spec())
        process = gatelab(folder, "launch", "good.yaml", "--resources", "cpus=999")
        message = untold(process.communicate(timeout=120)[0])
        assert (process.returncode, message.count("\n")) == (2, 1), message
        assert message.startswith("gatelab: good.yaml: resources.cpus: `cpus <= ")
        assert not (folder / FOLDER / "sweeps").exists()


@pytest.mark.slow
@pytest.mark.ray
def test_a_storage_that_nobody_reaches(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(spec())
    place = "s3://bucket/folder?endpoint_override=127.0.0.1:9&scheme=http&region=x"
    process = gatelab(tmp_path, "launch", "good.yaml", "--storage", place)
    message = untold(process.communicate(timeout=200)[0])
    assert (process.returncode, message.count("\n")) == (2, 1), message
    assert message.startswith(f"gatelab: good.yaml: {place} cannot be used: ")
    assert not (tmp_path / "gatelab_runs" / "sweeps").exists()
