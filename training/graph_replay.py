"""Steps on a GPU as CUDA graphs: one launch instead of hundreds."""

from __future__ import annotations

from contextlib import suppress

import torch

from gatelab.foreign import text_of
from gatelab.training.replay import Replay


class GraphReplay(Replay):
    """Takes a step, from the third on, as a CUDA graph; it must copy nothing from the host."""

    eager = 2
    form = "recorded as a CUDA graph"

    def begin(self) -> None:
        """Record the next step."""
        self.again = self._record

    def _record(self) -> None:
        """Record the step, which that does not take, and take it."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # nothing is given back while a graph is captured
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                self._capture(graph)
        except Exception as error:  # whatever a stranger's module raises
            self.fail(text_of(error))
        else:
            torch.cuda.current_stream().wait_stream(stream)
            self.again = graph.replay
        self.again()

    def _capture(self, graph: torch.cuda.CUDAGraph) -> None:
        graph.capture_begin()
        try:
            self.write()
        except BaseException:
            with suppress(RuntimeError):  # it says no more than that something failed before
                graph.capture_end()
            raise
        graph.capture_end()
