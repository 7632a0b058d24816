"""What a command is told wrongly is one line, with the way to what is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("status --neww", "no such option '--neww'; `gatelab status --help` says what it takes."),
        ("launch", "missing argument 'SPEC'; `gatelab launch --help` says what it takes."),
        ("status a b", "got unexpected extra argument (b); `gatelab status --help` says what"),
        ("new sweep", "missing argument 'TABLE'; `gatelab new sweep --help` says what it takes."),
        ("compare x --margin 0", "--margin must be above 0, but got 0."),
        ("show gates softmax", "no such command 'gates'; did you mean 'gate'?\n"),
        ("list --jsn", "no such option '--jsn'; did you mean '--json'?\n"),
        ("--nope", "no such option '--nope'; `gatelab --help` says what it takes."),
        ("status --folder file", "invalid value for '--folder': Directory 'file' is a file;"),
        ("status --folder loop", "invalid value for '--folder': loop: its links lead in a circle;"),
        ("validate loop", "invalid value for 'SPEC': loop: its links lead in a circle;"),
        ("new sweep loop", "invalid value for 'TABLE': loop: its links lead in a circle;"),
        ("predict s loop", "invalid value for 'FILE': loop: its links lead in a circle;"),
        ("status --folder=", "invalid value for '--folder': a path must not be empty;"),
        ("launch file --folder=", "invalid value for '--folder': a path must not be empty;"),
        ("launch file --storage=", "`storage` must be a path, but got ''."),
        ("report s --output loop", "no such option '--output'"),
    ],
)
def test_words_that_are_none(
    words: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    check_line(words.split(), line)


@pytest.mark.parametrize("name", ["two\nlines", "a\ttab", "\x1b[31mred", "\x7f"])
@pytest.mark.parametrize(
    "words",
    [
        ("status", "--folder"),
        ("validate",),
        ("new", "sweep"),
        ("predict", "sweep"),
        ("new", "sweep", "people.csv", "--output"),
    ],
)
def test_paths_that_no_line_can_name(words: tuple[str, ...], name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    path = str(tmp_path / name)
    check_line([*words, path], f"a path has no control character, but got {path!r};")


def check_line(words: list[str], line: str) -> None:
    """Check that a command ends with 2 and one line that begins so."""
    ended = CliRunner().invoke(main, words, prog_name="gatelab")
    assert ended.exit_code == 2
    assert ended.stderr.count("\n") == 1 and not ended.stdout
    assert ended.stderr.startswith("gatelab: ") and line in ended.stderr


def test_a_command_without_words_shows_its_help() -> None:
    ended = CliRunner().invoke(main, ["new"], prog_name="gatelab")
    assert ended.exit_code == 2 and "Usage: gatelab new" in ended.output
