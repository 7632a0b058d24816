"""A step that a GPU repeats from a recording: one launch instead of hundreds."""

from __future__ import annotations

from collections.abc import Callable

import torch

EAGER = 2
"""Steps before the recording: what is made once is made in them."""


class Replay:
    """Takes a step again and again; on a GPU, from the third on, as one CUDA graph.

    A step must read and write tensors that stay where they are, return nothing, and copy nothing
    from the host. One that cannot be recorded is taken as it is.
    """

    def __init__(self, step: Callable[[], None], *, records: bool) -> None:
        """Take a step, and whether to record it."""
        self.step, self.records = step, records
        self.steps = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.failure: Exception | None = None
        """Why it could not be recorded, if so."""

    def __call__(self) -> None:
        """Take the step."""
        if self.records and self.steps == EAGER:
            self.graph = self._record()
        self.steps += 1
        if self.graph is None:
            self.step()
        else:
            self.graph.replay()

    def _record(self) -> torch.cuda.CUDAGraph | None:
        """Return the step as a graph, which is not taken yet; none if it cannot be one."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                graph.capture_begin()
                try:
                    self.step()
                finally:
                    graph.capture_end()
        except Exception as error:  # whatever a stranger's module raises
            self.failure = error
            return None
        torch.cuda.current_stream().wait_stream(stream)
        return graph
