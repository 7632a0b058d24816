"""Steps on a GPU as CUDA graphs: one launch instead of hundreds."""

from __future__ import annotations

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
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                graph.capture_begin()
                try:
                    self.write()
                finally:
                    graph.capture_end()
        except Exception as error:  # whatever a stranger's module raises
            self.fail(text_of(error))
        else:
            torch.cuda.current_stream().wait_stream(stream)
            self.again = graph.replay
        self.again()
