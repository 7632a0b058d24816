"""The README of a package that `gatelab new` writes: commands, and what they do beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gatelab.sweeps.cli.new_gate import write_gate
from gatelab.sweeps.cli.new_learner import write_learner
from gatelab.sweeps.cli.new_task import write_task


@pytest.mark.parametrize("write", [write_gate, write_task, write_learner])
@pytest.mark.parametrize("name", ["g", "a_thing_of_mine_with_a_long_name"])
def test_what_commands_do_stands_in_one_column(
    write: Callable[[str, Path], Path], name: str, tmp_path: Path
) -> None:
    text = (write(name, tmp_path) / "README.md").read_text()
    commands = [line for line in text.splitlines() if line.startswith("    ")]
    assert len(commands) >= 3
    assert {line.index("   # ") for line in commands} == {max(len(_command(c)) for c in commands)}


def _command(line: str) -> str:
    return line.partition("#")[0].rstrip()
