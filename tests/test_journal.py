"""The journal: whole lines in order, whatever the disk or a kill does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelab.tracking.journal import Journal
from tests.small_disk import fill, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path) as made:
        yield made


def test_journal_keeps_order_position_and_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for number in range(3):
        journal.append({"n": number})
    (_, second), (_, third) = list(journal.records())[:2]
    journal.commit(second)
    journal.close()
    with open(tmp_path / "j.jsonl", "ab") as file:
        file.write(b'{"n": 9')  # torn by a kill
    again = Journal(tmp_path / "j.jsonl")
    again.append({"n": 3})
    assert [record["n"] for record, _ in again.records(again.position)] == [1, 2, 3]
    assert [record["n"] for record, _ in again.records(third)] == [2, 3]
    again.close()


def numbers(journal: Journal, limit: int = 1000) -> list[int]:
    return [record["n"] for record, _ in journal.read(limit)]


def test_a_full_disk_loses_no_line(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(disk / "j.jsonl")
    for number in range(200):
        journal.append({"n": number, "text": 100 * "x"})  # more than there is room for
    assert 0 < (disk / "j.jsonl").stat().st_size < journal.end
    assert numbers(journal) == list(range(200))
    assert caplog.text.count("no room on the disk") == 1
    positions = [position for _, position in journal.records()]
    journal.commit(positions[149])  # of what waits in memory too
    assert numbers(journal) == list(range(150, 200))
    journal.commit(positions[-1])
    assert not numbers(journal)
    journal.close()
    again = Journal(disk / "j.jsonl")
    assert not numbers(again) and again.position == again.end, "whole lines, all delivered"
    again.append({"n": 200})
    assert numbers(again) == [200]
    again.close()


def test_lines_that_waited_follow_when_there_is_room(disk: Path) -> None:
    journal = Journal(disk / "j.jsonl")
    journal.append({"n": 0})
    other = fill(disk)
    for number in range(1, 100):
        journal.append({"n": number, "text": 100 * "x"})
    _, position = journal.read(50)[-1]
    journal.commit(position)  # before they are on the disk
    other.unlink()
    journal.append({"n": 100})
    assert (disk / "j.jsonl").stat().st_size == journal.end
    assert numbers(journal) == list(range(50, 101))
    journal.close()
    again = Journal(disk / "j.jsonl")
    assert [record["n"] for record, _ in again.records()] == list(range(101))
    assert set(range(50, 101)) <= set(numbers(again))
    again.close()


def kept(folder: Path, count: int, position: bytes | None = None) -> Journal:
    """Return a journal of so many lines, all delivered, opened again after its position was set."""
    journal = Journal(folder / "j.jsonl")
    for number in range(count):
        journal.append({"n": number})
    journal.commit(journal.end)
    journal.close()
    if position is not None:
        (folder / "j.position").write_bytes(position)
    return Journal(folder / "j.jsonl")


@pytest.mark.parametrize(
    "position", [b"%020d" % 10**6, b"%020d" % 12, b"garbage", b"-5", bytes(20)]
)
def test_a_position_that_is_none_of_the_file_delivers_all_again(
    position: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = kept(tmp_path, 4, position)
    assert numbers(journal) == [0, 1, 2, 3]
    assert caplog.text.count("was cut or replaced since") == 1
    journal.close()


def test_a_journal_that_was_cut_delivers_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(tmp_path, 4).close()
    os.truncate(tmp_path / "j.jsonl", 21)
    journal = Journal(tmp_path / "j.jsonl")
    assert numbers(journal) == [0, 1]
    assert "was cut or replaced since byte 36" in caplog.text
    journal.append({"n": 9})
    assert numbers(journal) == [0, 1, 9]
    journal.close()


@pytest.mark.parametrize("line", [b"garbage", b"\xff\x00", b"[1]", b'{"n": 1', b""])
def test_a_damaged_line_is_left_out_and_told_once(
    line: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept(tmp_path, 3).close()
    lines = (tmp_path / "j.jsonl").read_bytes().split(b"\n")
    (tmp_path / "j.jsonl").write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    (tmp_path / "j.position").unlink()
    journal = Journal(tmp_path / "j.jsonl")
    found = [*journal.read(100), *journal.read(100)][:3]
    assert [record.get("n") for record, _ in found] == [0, None, 2]
    assert caplog.text.count("the line at byte 9 is damaged, and lost") == 1
    journal.commit(found[-1][1])
    assert journal.position == journal.end
    journal.close()
