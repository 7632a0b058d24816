"""What is written whole or not at all: a file or a folder takes its name at last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatelab.durable import draft_of, write_settled


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with draft_of(path) as draft:
        draft.write_text("after")
        assert (path.read_text(), draft.parent) == ("before", tmp_path)
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_there_when_it_is_whole(tmp_path: Path) -> None:
    with draft_of(tmp_path / "a") as draft:
        (draft / "deep").mkdir(parents=True)
        (draft / "deep" / "b.txt").write_text("b")
        (draft / "nowhere").symlink_to("not/there")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "deep" / "b.txt").read_text() == "b"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(
    make: object, error: type[BaseException], tmp_path: Path
) -> None:
    assert callable(make)
    path = tmp_path / "a"
    path.write_text("before")
    with pytest.raises(error), draft_of(path) as draft:
        make(draft)
        raise error
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "b").touch()
    with pytest.raises(OSError, match="not empty"), draft_of(path) as draft:
        draft.mkdir()
    assert (os.listdir(tmp_path), os.listdir(path)) == (["a"], ["b"])


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with draft_of(path) as first, draft_of(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "which ended last"


def test_an_error_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a"
    with pytest.raises(FileNotFoundError) as caught, draft_of(path) as draft:
        draft.touch()
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, draft_of(path) as draft:
        (draft / "b").write_text("")
    assert caught.value.filename == str(path / "b")


def test_a_file_has_the_usual_mode_or_the_one_asked_for(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_settled(tmp_path / "made", "a")
    write_settled(tmp_path / "secret", "a", 0o600)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("usual", "made", "secret")]
    assert modes[0] == modes[1] and modes[2] == 0o600
