"""The journal: whole lines in order, whatever the disk or a kill does."""

from __future__ import annotations

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
