"""Commands given from afar: a laptop's folder, and gatelab run in it against a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from tests.commands import PROCESSES
from tests.ray_heads import Head, clean_environment, forget_token
from tests.user_names import OTHERS, RAISING, SIX

SPEC = """
name: NAME
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: [softmax, "tasks:remote"]
baselines: false
training: {max_epochs: EPOCHS, batch_size: 32, patience: null}
search: {trials: 3, early_stopping: false}
evaluation: {seeds: 2}
"""
MODULE = '''
from gatelab.gates import SoftmaxGate, register_gate
from registry import pause

@register_gate("remote")
class Remote(SoftmaxGate):
    """A gate that only the laptop has, and which takes its time."""
    def forward(self, x):
        pause()
        return super().forward(x)
'''
PAUSE = """
import time
from pathlib import Path

def pause():
    if Path("HOLD").exists():
        time.sleep(0.2)
"""


def make_laptop(folder: Path) -> Path:
    """Put into a folder a gate that no node has, and what must stay there; return it."""
    for name in {*SIX, *OTHERS}:
        (folder / f"{name}.py").write_text(RAISING)
    (folder / "tasks.py").write_text(MODULE)
    (folder / "registry.py").write_text(PAUSE.replace("HOLD", str(folder / "hold")))
    (folder / ".env").write_text("PASSWORD=hunter2-of-laptop\n")
    return folder


def write_spec(folder: Path, name: str, epochs: int = 2, more: str = "") -> None:
    text = SPEC.replace("NAME", name).replace("EPOCHS", str(epochs))
    (folder / f"{name}.yaml").write_text(text + more)


def start(
    folder: Path, *arguments: str, cluster: Head | None = None, **more: Any
) -> subprocess.Popen[str]:
    """Start a command in a process and session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gatelab", *arguments],
        cwd=folder,
        env=clean_environment(**cluster.environment() if cluster else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )
    PROCESSES.append(process)
    return process


def run(cluster: Head | None, folder: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command, without an import of everything anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        environment = clean_environment(**{**(cluster.environment() if cluster else {}), **more})
        for name in {*os.environ} - {*environment}:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        forget_token()
        result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def refused(cluster: Head, folder: Path, *arguments: str, **environment: str) -> str:
    """Return the one line with which a command is refused."""
    code, _, errors = run(cluster, folder, *arguments, **environment)
    assert (code, errors.count("\n")) == (2, 1), errors
    assert errors.startswith("gatelab: ")
    return errors.strip()
