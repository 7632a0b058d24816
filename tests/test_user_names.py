"""A user's own modules may have any name, `gatelab` included, in the driver and in the workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray_heads import BIN, ROOT
from tests.user_names import GATE, RAISING, SPEC, TRACE, traces, users_environment, write_files

pytestmark = [pytest.mark.slow, pytest.mark.ray]
MODULE = (sys.executable, "-m", "gatelab")
COMMAND = (str(BIN / "gatelab"),)


def run(folder: Path, command: tuple[str, ...], *arguments: str) -> str:
    """Return what a command says, both outputs together."""
    ended = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=users_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_a_sweep_beside_modules_and_a_folder_of_its_names(tmp_path: Path) -> None:
    """The folder is the old one of results, which Python takes for a package where it can.

    With the user's modules as files; tests/test_wheel.py has them as packages.
    """
    write_files(tmp_path)
    (tmp_path / "gatelab").mkdir()
    spec = SPEC.format(gate="tasks:mine", task="sweeps:mytask")
    (tmp_path / "small.yaml").write_text(f'{spec}metrics: [rmse, "sweeps:mymetric"]\n')
    assert "softmax, mine on sweeps:mytask" in run(tmp_path, COMMAND, "validate", "small.yaml")
    launched = run(tmp_path, MODULE, "launch", "small.yaml", "--folder", "gatelab")
    assert " failed: " not in launched
    ours = ROOT / "gatelab" / "__init__.py"
    assert traces(tmp_path) == {f"{ours} {tmp_path / name}" for name in ("tasks.py", "sweeps.py")}
    assert len(list(tmp_path.glob(f"{TRACE}*"))) > 2, "in the drivers and in workers"
    assert not (tmp_path / "gatelab_runs").exists()
    compared = run(tmp_path, COMMAND, "compare", "small", "--folder", "gatelab")
    assert "mean/mymetric" in compared, "which workers have computed"
    (line,) = [line for line in compared.splitlines() if "finished/pruned/failed" in line]
    assert line.count("2/0/0") == 2


def test_workers_beside_a_package_of_our_name(tmp_path: Path) -> None:
    (tmp_path / "gatelab").mkdir()
    (tmp_path / "gatelab" / "__init__.py").write_text(RAISING)
    (tmp_path / "tasks.py").write_text(GATE)
    (tmp_path / "small.yaml").write_text(SPEC.format(gate="tasks:mine", task="synthetic_groups"))
    looked = run(tmp_path, COMMAND, "doctor", "small.yaml")
    assert "gates and task: found on every node: softmax, tasks:mine, synthetic_groups" in looked
