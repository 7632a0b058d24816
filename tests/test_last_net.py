"""What no command has foreseen ends in one line, exit code 2, and a file with the traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from gatelab.sweeps.cli import MODULES, main
from gatelab.sweeps.cli.commands import Commands
from gatelab.sweeps.cli.ending import refuse


class Odd(BaseException):
    """Of no class that anyone expects."""


def failing(error: BaseException) -> click.Group:
    """Return commands, the only one of which fails."""

    @click.command()
    def work() -> None:
        raise error

    @click.group(cls=Commands, modules={"work": __name__})
    @click.option("--debug", is_flag=True)
    def group(debug: bool) -> None:
        """Do nothing."""

    globals()["COMMANDS"] = (work,)
    return group


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "device: '/x/y'"),
        (PermissionError(errno.EACCES, "Permission denied", "a", None, "b"), "denied: 'a' and 'b'"),
        (OSError("odd"), "OSError: odd"),
        (MemoryError(), "memory of this machine"),
        (RecursionError("maximum"), "nested too deeply"),
        (KeyError("key"), "KeyError: 'key'"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "UnicodeDecodeError: 'utf-8'"),
        (RuntimeError("first\nsecond " + "x" * 10_000), "RuntimeError: first second xxx"),
        (Odd("from elsewhere"), "Odd: from elsewhere"),
        (ValueError("\udcff"), "ValueError: "),
    ],
)
def test_one_line(
    error: BaseException, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = CliRunner().invoke(failing(error), ["work"])
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (2, 1, "")
    assert result.stderr.startswith("gatelab: work has failed: ")
    assert said in result.stderr and len(result.stderr) < 1100
    (file,) = tmp_path.iterdir()
    assert str(file) in result.stderr
    assert "Traceback" in file.read_text() and file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", [["--debug", "work"], ["work", "--debug"]])
def test_debug_shows_the_traceback(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = CliRunner().invoke(failing(KeyError("key")), words)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr and "KeyError: 'key'" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("error", [KeyError("identity"), IndexError("list index out of range")])
def test_what_is_no_fault_of_the_input_is_not_said_to_be_one(error: Exception) -> None:
    """A command refuses what it does not find, by a LookupError; these are of that class too."""
    with pytest.raises(type(error)):
        refuse(error)
    with pytest.raises(SystemExit):
        refuse(LookupError("no sweep 'c'"))


@pytest.mark.parametrize(
    "work",
    [
        lambda: b"\xff".decode(),
        lambda: json.loads("{"),
        lambda: np.zeros(4).reshape(3),
        lambda: np.linalg.inv(np.zeros((2, 2))),
        lambda: pa.array(["a"]).cast(pa.int64()),
        lambda: BaseModel.model_validate(3),
        lambda: datetime.fromisoformat("never"),
    ],
)
def test_what_a_library_does_not_take_is_no_rule_of_ours(
    work: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its errors are of the class of ours, and say neither what nor where."""
    monkeypatch.setattr("gatelab.results.overview.overview", lambda *_, **__: work())
    result = CliRunner().invoke(main, ["compare", "c"])
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (2, 1, "")
    assert result.stderr.startswith("gatelab: compare has failed: ")
    assert "the traceback is in " in result.stderr


def test_an_exit_of_others_is_no_end_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a module's that is called where nobody thought of it."""
    monkeypatch.setattr("gatelab.results.overview.overview", lambda *_, **__: sys.exit(0))
    result = CliRunner().invoke(main, ["compare", "c"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(
        "gatelab: compare has failed: SystemExit: it calls sys.exit(0) ("
    )


def test_our_own_rules_are_said_alone(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["compare", "a", "a", "--folder", str(tmp_path)])
    assert "traceback" not in result.stderr and result.exit_code == 2


def test_without_room_for_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    result = CliRunner().invoke(failing(KeyError("key")), ["work"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "no room" in result.stderr


@pytest.mark.parametrize("command", MODULES)
def test_every_command_takes_it(command: str) -> None:
    assert CliRunner().invoke(main, [command, "--help", "--debug"]).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", [["list", "gates"], ["show", "metric", "auroc"], ["--help"]])
def test_who_stops_reading_is_told_nothing(words: Sequence[str]) -> None:
    """As ``| head -1`` does; the code is that of any program that is ended so."""
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "gatelab", *words]
    ended = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, check=False)
    os.close(writes)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("kind", ["gate", "task"])
@pytest.mark.parametrize("target", ["mine", "nowhere"])
def test_a_package_where_a_link_is_that_leads_nowhere(
    kind: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to(target)
    result = CliRunner().invoke(main, ["new", kind, "mine"])
    assert result.exit_code == 2
    assert result.output.endswith("mine is there already; choose another name or folder.\n")
    assert result.output.count("\n") == 1
