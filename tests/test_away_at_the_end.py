"""A store that is away when a sweep has ended and reads it back: waited for, or said with a way on.

SQLite's file is put aside, which is seen at once; one that another process keeps locked is seen
after a quarter of a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelab.sweeps.driver import delivery
from gatelab.tracking.recorder import Recorder
from tests.in_process import gatelab
from tests.launched import read
from tests.test_store_losses_of_sweeps import SPEC

WAITS = "The comparison waits, since the store sqlite:"


class PutBack(logging.Handler):
    """Puts the store back once it is said that it is waited for."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.store, self.said = store, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        put_back(self.store)


def aside(store: Path) -> Path:
    return store.with_name("aside.db")


def put_back(store: Path) -> None:
    aside(store).rename(store)


@pytest.fixture
def store(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that is away from when it has all of a sweep."""
    found, check = place / "gatelab_runs" / "mlflow.db", Recorder.check_all_there

    def check_and_go(self: Recorder) -> None:
        check(self)
        found.rename(aside(found))

    (place / "c.yaml").write_text(SPEC)
    monkeypatch.setattr(Recorder, "check_all_there", check_and_go)
    monkeypatch.setattr(delivery, "AGAIN_SECONDS", 0.0)
    return found


@pytest.fixture
def said(store: Path) -> Iterator[list[str]]:
    handler = PutBack(store)
    delivery.LOG.addHandler(handler)
    yield handler.said
    delivery.LOG.removeHandler(handler)


def test_a_store_that_comes_back_is_waited_for(place: Path, said: list[str]) -> None:
    gatelab(place, "launch", "c.yaml")
    assert len(said) == 1 and said[0].startswith(WAITS)
    assert read(place, "c").of("evaluate")[0].status == "FINISHED"
    assert "finished" in gatelab(place, "status")


def test_one_that_stays_away_is_said_with_a_way_on(
    place: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 1.0)
    last = gatelab(place, "launch", "c.yaml", code=3).splitlines()[-1]
    assert last.startswith("All results of 'c' lie in ") and last.endswith(
        " is gone: put it back. `gatelab resume c` ends it."
    )
    put_back(store)
    monkeypatch.undo()
    gatelab(place, "resume", "c")
    assert "finished" in gatelab(place, "status")
