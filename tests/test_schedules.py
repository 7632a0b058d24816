"""Gates that change with the progress of the training: what they say of it, and what they do."""

from __future__ import annotations

from typing import Any

import pytest

from gatelab.gates import gates


@pytest.mark.parametrize(
    ("name", "hyperparameters", "end"),
    [
        ("softmax", {}, 0.0),
        ("relu", {}, 0.0),
        ("gumbel_softmax", {"temperature": 2.0}, 1.0),
        ("comet", {}, 0.0),
        ("comet", {"search_share": 0.4}, 0.0),
        ("comet", {"local_search": True}, 0.1),
        ("comet", {"local_search": True, "search_share": 0.4}, 0.4),
    ],
)
def test_schedule_end(name: str, hyperparameters: dict[str, Any], end: float) -> None:
    assert gates.get(name).schedule_end(hyperparameters) == end
