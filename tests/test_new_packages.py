"""The README of a package that `gatelab new` writes: commands, and what they do beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatelab.gates.gate import gates
from gatelab.registry import Registry
from gatelab.sweeps.cli import main
from gatelab.sweeps.cli.new_package import write_package
from gatelab.tasks.task import tasks
from gatelab.training.learners import learners


@pytest.mark.parametrize("registry", [gates, tasks, learners], ids=lambda it: it.kind)
@pytest.mark.parametrize("name", ["g", "a_thing_of_mine_with_a_long_name"])
def test_what_commands_do_stands_in_one_column(
    registry: Registry[Any], name: str, tmp_path: Path
) -> None:
    text = (write_package(registry, name, tmp_path) / "README.md").read_text()
    commands = [line for line in text.splitlines() if line.startswith("    ")]
    assert len(commands) >= 3
    assert {line.index("   # ") for line in commands} == {max(len(_command(c)) for c in commands)}


def test_a_package_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc")
    result = CliRunner().invoke(main, ["new", "gate", "mine"])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert result.output.startswith("gatelab: /proc/mine cannot be written: ")


def _command(line: str) -> str:
    return line.partition("#")[0].rstrip()
