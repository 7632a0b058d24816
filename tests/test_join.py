"""Ray on this machine alone, where it does not start."""

from __future__ import annotations

import signal
import sys

import pytest

from gatelab.sweeps.cluster import joining
from gatelab.sweeps.cluster.access import ClusterError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("no room"), "Ray cannot be started: no room."),
        (  # of Ray 2.60 (ray/_private/node.py), where its agent takes more than 15 seconds to begin
            Exception("The current node timed out during startup. This could happen because some"),
            "Ray timed out during startup, twice: is the machine busy? Try again.",
        ),
    ],
)
def test_it_ends_in_one_line(error: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(address: str, **_: object) -> None:
        assert address == "local"
        raise error

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(joining.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(joining.ray, "init", init)
    with pytest.raises(ClusterError) as caught:
        joining.join()
    assert str(caught.value) == told


def test_a_ray_that_is_late_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def init(address: str, **_: object) -> None:
        tries.append(address)
        if len(tries) == 1:
            raise Exception(f"The current node {joining.TIMED_OUT}.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(joining.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(joining.ray, "init", init)
    monkeypatch.setattr(joining, "keep_own_token", lambda: None)
    joining.join()
    assert tries == ["local", "local"]


def test_a_term_while_ray_starts_is_a_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own handler, which is there as soon as it starts, ends the process without a word."""
    found = signal.signal(signal.SIGTERM, interrupt := lambda *_: None)

    def init(*_: object, **__: object) -> None:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(joining.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(joining.ray, "init", init)
    try:
        with pytest.raises(KeyboardInterrupt):
            joining.join()
        assert signal.getsignal(signal.SIGTERM) is interrupt
    finally:
        signal.signal(signal.SIGTERM, found)
