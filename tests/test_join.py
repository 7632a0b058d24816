"""Ray on this machine alone, where it does not start."""

from __future__ import annotations

import pytest

from gatelab.sweeps.cluster import nodes
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
    monkeypatch.setattr(nodes.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(nodes.ray, "init", init)
    with pytest.raises(ClusterError) as caught:
        nodes.join()
    assert str(caught.value) == told


def test_a_ray_that_is_late_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def init(address: str, **_: object) -> None:
        tries.append(address)
        if len(tries) == 1:
            raise Exception(f"The current node {nodes.TIMED_OUT}.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(nodes.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(nodes.ray, "init", init)
    monkeypatch.setattr(nodes, "keep_own_token", lambda: None)
    nodes.join()
    assert tries == ["local", "local"]
