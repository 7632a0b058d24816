"""Ray where it does not start, on this machine alone, or cannot be joined."""

from __future__ import annotations

import signal
import sys

import pytest
from ray.exceptions import AuthenticationError

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


@pytest.mark.parametrize(
    ("error", "told"),
    [  # the texts are Ray 2.60's
        (
            ConnectionError("Could not find any running Ray instance. Please specify the one to"),
            "RAY_ADDRESS=auto, but no Ray runs on this machine: start one with `ray start --head`, "
            "or unset RAY_ADDRESS.",
        ),
        (  # which it finds, and has another token
            ConnectionError("Failed to connect to Ray cluster at 192.0.2.2:6379"),
            "the cluster at RAY_ADDRESS=auto cannot be joined: the token must be the one that its "
            "head was started with.",
        ),
        (
            AuthenticationError("RAY_AUTH_TOKEN_PATH is set but file cannot be opened: /nowhere."),
            "the cluster at RAY_ADDRESS=auto cannot be joined: RAY_AUTH_TOKEN_PATH is set but file "
            "cannot be opened: /nowhere.",
        ),
        (
            ConnectionResetError("Connection reset by peer"),
            "the cluster at RAY_ADDRESS=auto cannot be joined: Connection reset by peer",
        ),
    ],
)
def test_why_a_cluster_cannot_be_joined(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(joining.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(joining.ray, "init", init)
    with pytest.raises(ClusterError) as caught:
        joining.join()
    assert str(caught.value).startswith(told)


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
    monkeypatch.setattr(joining, "_note_started", lambda: None)
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
