"""The command's help: at once, in sections, and as each command says of itself."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import HELP, MODULES, main


@pytest.mark.parametrize("command", MODULES)
def test_a_command_is_told_of_as_it_tells_of_itself(command: str) -> None:
    found = main.get_command(click.Context(main), command)
    (text,) = (commands[command] for commands in HELP.values() if command in commands)
    assert found is not None and found.help is not None
    assert " ".join(found.help.split()).startswith(text.rstrip("."))
    assert len(text) <= 67, "it fits a line of 80 columns"


def test_the_help_has_every_command_once_under_what_one_wants_to_do() -> None:
    said = CliRunner().invoke(main, ["--help"]).output
    places = [said.index(f"\n{section}:\n") for section in HELP]
    assert places == sorted(places) and len(places) > 3
    assert all(said.count(f"\n  {command} ") == 1 for command in MODULES)


def test_the_help_imports_nothing_that_takes_time() -> None:
    """A first look must not take the seconds of torch."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom gatelab.sweeps.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print(*{'torch', 'optuna', 'mlflow', 'ray', 'pandas', 'numpy'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


@pytest.mark.parametrize(
    ("word", "near"), [("lanch", "'launch'"), ("comparee", "'compare'"), ("xyz", "")]
)
def test_a_command_that_is_none_is_refused_with_what_may_be_meant(word: str, near: str) -> None:
    result = CliRunner().invoke(main, [word, "small.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"unknown command '{word}'" in result.stderr and near in result.stderr


@pytest.mark.parametrize("group", ["new", "show", "check", "list", "data"])
def test_no_line_of_a_groups_help_is_cut(group: str) -> None:
    shown = CliRunner().invoke(main, [group, "--help"], terminal_width=80).output
    lines = [line for line in shown.splitlines() if not line.startswith("Usage")]
    assert lines and not [line for line in lines if line.endswith("...")]
