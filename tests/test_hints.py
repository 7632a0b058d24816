"""Commands that messages advise name the folder of the sweep, as a shell takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.sweeps.cli.hints import in_folder
from gatelab.sweeps.driver.stops import Halted, Interrupted, NoRoom, Resumable, Undelivered
from gatelab.sweeps.home.making import make_home
from gatelab.tracking.schema import FOLDER
from tests.test_edited_specs import SPEC

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


GOES_ON = "`gatelab resume a` delivers."


def test_who_is_stopped_in_python_is_told_what_to_call_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the folder, where it is not that which a call takes by itself."""
    monkeypatch.chdir(tmp_path)
    for folder, more in ((FOLDER, ""), (Path('a "b"'), r', folder="a \"b\""')):
        home = make_home(folder, SPEC, None, None)
        stops = (
            Interrupted(home),
            Halted(home, "'y'"),
            NoRoom(home, None),
            Undelivered(home, f"No: {GOES_ON}"),
        )
        call = f'gatelab.resume("a"{more})'
        for stopped in stops:
            assert f"`{call}` " in str(stopped), stopped
            assert "`gatelab resume a` " in stopped.in_shell, stopped
            assert str(stopped).replace(call, "gatelab resume a") == stopped.in_shell


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("resume a --redeliver", 'resume("a", redeliver=True)'),
        ("resume a --tracking-uri", 'resume("a", uri=URI)'),
        ("resume a --tracking-uri URI", 'resume("a", uri=URI)'),
    ],
)
def test_what_the_store_s_own_words_advise_is_a_call_too(
    command: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = make_home(FOLDER, SPEC, None, None)
    assert str(Resumable(home, f"x: `gatelab {command}`; or z.")) == f"x: `gatelab.{call}`; or z."
