"""Gates of others: written by `gatelab new gate`, installed, broken, and in every worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatelab.gates import gates
from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.new_package import write_package
from gatelab.tracking.schema import FOLDER
from tests import in_process


def gatelab(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gatelab", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def enter(folder: Path, package: str, entry: str, module: str) -> None:
    """Put into a folder what installing a package with one module would."""
    (folder / f"{entry}.py").write_text(module)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gatelab.gates]\n{entry} = {entry}\n")


@pytest.mark.slow
def test_a_broken_plug_in_is_one_line_and_stops_nobody(tmp_path: Path) -> None:
    enter(tmp_path, "faulty", "wild", "raise RuntimeError('not\\ntoday')\n")
    taken = "from gatelab.gates import Gate, register_gate\n"
    enter(tmp_path, "greedy", "taken", taken + "@register_gate('softmax')\nclass S(Gate): pass\n")
    sound = (
        "from gatelab.gates import register_gate, SoftmaxGate\n@register_gate('fine')\n"
        'class Fine(SoftmaxGate):\n    """Is fine."""\n'
    )
    enter(tmp_path, "sound-gates", "fine", sound)
    listed = gatelab(tmp_path, "list", "gates", path=str(tmp_path))
    assert listed.returncode == 0
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("fine ")]
    assert line.split() == ["fine", "Is", "fine.", "fine"] or "sound-gates" in line
    assert "softmax" in listed.stdout
    first, second = sorted(listed.stderr.strip().splitlines())
    assert "gate 'taken' of package 'greedy' cannot be loaded" in first
    assert "'softmax' is registered twice: gatelab.gates.softmax.SoftmaxGate" in first
    assert str(tmp_path / "taken.py") in first, "both places are named"
    assert second == (
        "gatelab: warning: gate 'wild' of package 'faulty' cannot be loaded: RuntimeError: "
        f"not today ({tmp_path / 'wild.py'}, line 1)"
    )
    shown = gatelab(tmp_path, "show", "gate", "wild", path=str(tmp_path))
    assert (shown.returncode, shown.stderr.count("\n")) == (2, 1)
    assert "cannot be loaded: RuntimeError: not today" in shown.stderr


def test_what_a_key_raises_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_module.py").write_text("from nothing_here import register_gate\n")
    monkeypatch.syspath_prepend(tmp_path)
    checked = CliRunner().invoke(main, ["check", "gate", "bad_module:bad"])
    assert checked.exit_code == 2
    assert "cannot import 'bad_module': ModuleNotFoundError: No module named" in checked.stderr


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("softmax", "is there already"),
        ("Upper", "lower-case"),
        ("with-dash", "lower-case"),
        ("json", "installed module"),
        ("there", "is there already; choose"),
    ],
)
def test_names_that_cannot_be(
    name: str, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    result = CliRunner().invoke(main, ["new", "gate", name])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert fragment in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.slow
def test_a_failed_check_is_a_line_with_its_likely_cause(tmp_path: Path) -> None:
    write_package(gates, "faulty", tmp_path)
    module = tmp_path / "faulty" / "faulty.py"
    module.write_text(module.read_text().replace(".softmax(-1)", ".sigmoid()"))
    with in_process.modules_of(module.parent):
        checked = CliRunner().invoke(main, ["check", "gate", "faulty:faulty"])
    assert checked.exit_code == 1
    (failure,) = [line for line in checked.stdout.splitlines() if line.startswith("FAIL")]
    assert failure.startswith("FAIL  weights_sum_to_one: the weights of a row sum to ")
    assert "; likely cause: they are not normalised, or over the rows" in failure


SPEC = """
name: own
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: [softmax, KEY]
baselines: false
training: {max_epochs: 2, batch_size: 32}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_new_package_passes_is_installed_and_is_swept(
    put_store: Callable[[Path], Path], tmp_path: Path
) -> None:
    in_process.gatelab(tmp_path, "new", "gate", "my_gate")
    package = tmp_path / "my_gate"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    put_store(package / FOLDER)
    (package / "own.yaml").write_text(SPEC.replace("KEY", "'my_gate:my_gate'"))
    in_process.gatelab(package, "launch", "own.yaml")  # in workers it is looked at below
    site, other = tmp_path / "site", tmp_path / "other"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(package)], check=True, timeout=120)
    other.mkdir()
    put_store(other / FOLDER)
    listed = gatelab(other, "list", "gates", path=str(site))
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("my_gate ")]
    assert line.split()[-1] == "my_gate", "whose it is"
    (other / "own.yaml").write_text(SPEC.replace("KEY", "my_gate"))
    swept = gatelab(other, "launch", "own.yaml", path=str(site))
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert "my_gate" in swept.stdout
    assert " failed: " not in swept.stdout
