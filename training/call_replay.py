"""Steps on a CPU as lists of calls: without the way to them, as long as the calls themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from gatelab.foreign import told
from gatelab.gates.randomness import CPU, generator_state
from gatelab.training.recording import Recording
from gatelab.training.replay import Replay

MOST_KEPT = 2**27
"""Bytes that a step changes, up to which it is repeated: to try it, they are kept twice."""


class CallReplay(Replay):
    """Takes a step, after the first ones, by the calls of torch's operations that it comes to.

    These are the calls below gradients and ``torch.vmap``, so that the numbers are the same bit for
    bit: which is tried of one more step before it counts.
    """

    eager = 8
    """To write a step down costs what is saved in some fifteen."""
    form = "written down as a list of calls"

    def begin(self) -> None:
        """Write the next step down, which that takes too."""
        self.again = self._write

    def _write(self) -> None:
        recording = Recording()
        with recording:
            self.write()
        why = recording.failure
        if not why and sum(tensor.nbytes for tensor in recording.written()) > MOST_KEPT:
            why = "of a large model the way to the calls is a small part"
        if why:
            self.told = False  # a CPU does not wait: as it is, is as usual
            self.fail(why)
        else:
            self.again = lambda: self._try(recording)

    def _try(self, recording: Recording) -> None:
        """Take the step both ways, and go on by calls if these come to the same."""
        written, generator = recording.written(), generator_state(CPU)
        before = _copies(written)
        try:
            repeated = recording.repeated()
            repeated()
        except Exception as error:  # whatever a stranger's operation raises
            self.fail(told(error))
        after = _copies(written)
        _put(written, before)
        torch.set_rng_state(generator)
        self.step()
        if self.failure:
            return
        if all(map(_equal, written, after)):
            self.again = repeated
        else:
            self.fail("it comes to other numbers, since something else than tensors changes")


@torch.no_grad()
def _copies(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


@torch.no_grad()
def _put(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _equal(one: Tensor, two: Tensor) -> bool:
    return torch.allclose(one, two, rtol=0, atol=0, equal_nan=True)
