"""Commands that messages advise name the folder of the sweep, as a shell takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.sweeps.cli.hints import in_folder
from gatelab.sweeps.driver.stops import Interrupted
from gatelab.tracking.schema import FOLDER

SAID = "Stopped. `gatelab resume one` goes on; `gatelab compare one` shows it, `--name` names it."


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (FOLDER, ""),
        (Path("runs"), " --folder runs"),
        (Path("/tmp/my runs"), " --folder '/tmp/my runs'"),
        (Path("[draft] it's"), " --folder '[draft] it'\"'\"'s'"),
    ],
)
def test_every_command_about_a_sweep_names_the_folder_once(folder: Path, words: str) -> None:
    expected = (
        f"Stopped. `gatelab resume one{words}` goes on; `gatelab compare one{words}` shows it, "
        "`--name` names it."
    )
    assert in_folder(SAID, folder) == expected
    assert in_folder(expected, folder) == expected


def test_a_folder_that_the_environment_names_need_not_be_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATELAB_FOLDER", "/srv/gatelab")
    assert in_folder(SAID, Path("/srv/gatelab")) == SAID
    assert f"--folder {FOLDER}`" in in_folder(SAID, FOLDER), "by default it would be the other"


def test_other_commands_and_words_are_left() -> None:
    text = "`gatelab list gates` says which; `gatelab.tasks` has them."
    assert in_folder(text, Path("runs")) == text


def test_who_is_stopped_in_python_is_told_what_to_call_there() -> None:
    stopped = Interrupted("one")
    assert str(stopped) == 'Stopped. `gatelab.resume("one")` goes on where it was.'
    assert stopped.in_shell == "Stopped. `gatelab resume one` goes on where it was."
