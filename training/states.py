"""States: what jobs go on from, in a file by the jobs' keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

STATE_FILE = "state.pt"
States = dict[str, dict[str, Any]]
"""What jobs go on from, by their keys."""


def read_state(folder: Path) -> States:
    """Return the states by job that :meth:`Work.save` wrote; nothing in them is executed."""
    states: States = torch.load(folder / STATE_FILE, weights_only=True, map_location="cpu")
    return states
