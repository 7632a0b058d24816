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
    passage, left = training.passage, 0

    def step() -> None:
        nonlocal left
        if left == 0:
            training.begin_pass()
            left = passage.rows_in_all // passage.size
        left -= 1
        if records:
            training.step(passage.size)
        else:
            training.eager_step(passage.size)

    return step
