"""A rehearsal of every gate before anything is started: what cannot run is found here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.gate import gates
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.task import Task
from gatelab.training.member import Member
from gatelab.training.train import Training

SEEDS = (0, 1)
"""Of the two members that are tried: the least that an evaluation trains at once."""


def rehearse_gates(spec: Spec, task: Task, *, here: bool = True) -> list[str]:
    """Make one pass forward and back of two members of every gate, on a few rows.

    Args:
        spec: Whose gates are tried, each with one configuration of its search space.
        task: The spec's, whose train split is read.
        here: Whether what fails here fails where the jobs run: not if those have a GPU that this
            process has not.

    Returns:
        A line for everything that cannot be fused, and for every gate that raises.

    Raises:
        SpecError: If every gate raises, as nothing could come of the sweep. That baselines can be
            trained makes no difference, unless there is nothing else.
    """
    notes: list[str] = []
    errors: dict[str, ForeignError] = {}
    classes = {label: gates.get(gate.gate) for label, gate in spec.gates.items()}
    tried = [label for label, cls in classes.items() if cls.trained]
    for label in tried:
        try:
            with foreign():
                notes += [f"{label}: {note}" for note in _try(spec, task, label)]
        except ForeignError as error:
            errors[label] = error
            notes.append(f"{label}: its trials will fail: {error}")
    task.forget("test")
    compared = {label for label, cls in classes.items() if cls.role == "gate"} or classes.keys()
    if here and errors and compared <= errors.keys():
        raise _told(errors, tried) from next(iter(errors.values()))
    return notes


def _told(errors: Mapping[str, ForeignError], tried: Collection[str]) -> SpecError:
    """Return whose fault errors are: the task's if all have one, else each gate's own."""
    alike = {str(error) for error in errors.values()}
    if len(alike) == 1 and len(errors) == len(tried):
        return SpecError("", "task", f"no gate can be trained: {alike.pop()}")
    found = errors.items()
    return SpecError.of((f"gates.{label}", f"cannot be trained: {error}") for label, error in found)


def _try(spec: Spec, task: Task, label: str) -> list[str]:
    chosen = space(spec, label, task).at_extremes()[0]
    recipe = replace(spec.training.recipe(), precision="float32")  # as a rehearsal compares
    gate = gates.get(spec.gates[label].gate)
    # All splits, of which an evaluation meets the last when the budget is spent.
    together, alone = (
        Training(task, gate, [Member(chosen, s) for s in seeds], recipe, scored=("val", "test"))
        for seeds in (SEEDS, SEEDS[:1])
    )
    return [*dict.fromkeys((*together.notes, *alone.notes))]
