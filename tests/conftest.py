"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.commands import PROCESSES, kill_session

# Tests run side by side, one a core, and models of tests gain nothing from more threads.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """A test that fails must not leave a sweep running; what a module started is not its."""
    before = len(PROCESSES)
    yield
    while len(PROCESSES) > before:
        process = PROCESSES.pop()
        if process.poll() is None:
            kill_session(process)
