"""Steps of a training one by one, to be measured."""

from __future__ import annotations

from collections.abc import Callable

from gatelab.training.train import Training


def stepper(training: Training, *, records: bool = True) -> Callable[[], None]:
    """Return a call that takes a step of full size, and begins a pass where one has ended.

    Args:
        training: Whose steps they are.
        records: Whether a GPU may replay them from a recording.
    """
    training.model.train()
    loop, left = training.loop, 0

    def step() -> None:
        nonlocal left
        if left == 0:
            loop.begin_pass(0)
            left = loop.passage.rows_in_all // loop.passage.size
        left -= 1
        if records:
            loop.step(loop.passage.size)
        else:
            loop.eager_step(loop.passage.size)

    return step
