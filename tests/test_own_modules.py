"""A user's modules beside those of one name that Python, gatelab's libraries or others have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gatelab.own_modules import owner
from gatelab.tracking.dashboard import serve
from tests.ray_heads import BIN
from tests.user_names import GATE, RAISING, SPEC, users_environment

LIBRARIES = (
    *("calendar", "profile", "queue", "random", "secrets", "statistics"),  # Python's
    *("git", "matplotlib", "mlflow", "packaging", "ray", "yaml"),  # what gatelab needs
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a module of each of those names, and two that a sweep names."""
    for name in LIBRARIES:
        (tmp_path / f"{name}.py").write_text(RAISING)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "helpers.py").write_text(RAISING)
    (tmp_path / "elsewhere" / "models.py").write_text(RAISING)
    (tmp_path / "helpers.py").write_text("NAME = 'mine'\n")
    lines = "import statistics, yaml\nfrom helpers import NAME\nstatistics.mean, yaml.safe_load\n"
    (tmp_path / "models.py").write_text(lines + GATE.replace('"mine"', "NAME"))
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where packages `models` and `helpers` are installed too."""
    return subprocess.run(
        command,
        cwd=folder,
        env=users_environment(PYTHONPATH=str(folder / "elsewhere")),
        capture_output=True,
        text=True,
        check=False,
    )


GATELAB = (str(BIN / "gatelab"),)
MODULE = (sys.executable, "-m", "gatelab")


@pytest.mark.slow
@pytest.mark.parametrize("command", [GATELAB, MODULE])
def test_libraries_find_their_own_and_a_key_the_users(
    folder: Path, command: tuple[str, ...]
) -> None:
    (folder / "small.yaml").write_text(SPEC.format(gate="models:mine", task="synthetic_groups"))
    found = run(folder, *command, "validate", "small.yaml")
    assert "softmax, mine on synthetic_groups" in found.stdout, found.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_so_do_a_sweeps_driver_its_workers_and_its_report(folder: Path) -> None:
    (folder / "small.yaml").write_text(SPEC.format(gate="models:mine", task="synthetic_groups"))
    launched = run(folder, *GATELAB, "launch", "small.yaml")
    assert (launched.returncode, " failed: " in launched.stdout) == (0, False), launched.stderr
    (line,) = [line for line in launched.stdout.splitlines() if "finished/pruned/failed" in line]
    assert line.count("2/0/0") == 2
    assert run(folder, *GATELAB, "report", "small").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "whose"),
    [
        ("profile", "Python's standard library"),
        ("yaml", "a package that gatelab needs"),
        ("mlflow", "a package that gatelab needs"),  # which no process has imported yet
    ],
)
def test_a_key_of_a_name_that_is_taken_is_refused(folder: Path, module: str, whose: str) -> None:
    (folder / f"{module}.py").write_text(GATE)
    found = run(folder, *GATELAB, "show", "gate", f"{module}:mine")
    assert (found.returncode, found.stderr) == (
        2,
        f"gatelab: gate '{module}:mine': {folder / module}.py is hidden by the module {module!r} "
        f"of {whose}: rename it.\n",
    )


def test_whose_a_name_is() -> None:
    assert owner("statistics") == "Python's standard library"
    assert owner("yaml") == owner("mlflow") == owner("starlette") == "a package that gatelab needs"
    assert not owner("models"), "which is nobody's"
    assert not owner("pytest"), "which users of gatelab need not have"


@pytest.mark.slow
def test_mlflows_server_finds_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with serve(f"sqlite:///{folder / 'm.db'}", log=folder / "log") as server:
        assert server.port, "it answers"
