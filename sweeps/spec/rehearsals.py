"""A rehearsal of every gate before anything is started: what cannot run is found here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gatelab.foreign import ForeignError, foreign, is_ours, place_of
from gatelab.gates.gate import gates
from gatelab.sweeps.spec.learner_spec import LearnerSpec
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import GateSpec, Spec, SpecError
from gatelab.tasks.task import Task
from gatelab.training.member import Member
from gatelab.training.train import Training

SEEDS = (0, 1)
"""Of the two members that are tried: the least that an evaluation trains at once."""
WITNESS = "softmax"
"""A gate that trains on every task that can be trained on."""


class Notes(NamedTuple):
    """What rehearsals of gates have found."""

    told: list[str]
    """Lines to be read: what is the same of several gates is one."""
    by_gate: list[str]
    """Of these what a job would say again, a line for each gate."""


def rehearse_gates(spec: Spec, task: Task, *, here: bool = True) -> Notes:
    """Make one pass forward and back of two members of every gate, on a few rows.

    Args:
        spec: Whose gates are tried, each with one configuration of its search space.
        task: The spec's, whose train split is read.
        here: Whether what fails here fails where the jobs run: not if those have a GPU that this
            process has not.

    Returns:
        Everything that cannot be fused, and every gate that raises.

    Raises:
        SpecError: If every gate raises, as nothing could come of the sweep. That baselines can be
            trained makes no difference, unless there is nothing else.
    """
    classes = {label: gates.get(gate.gate) for label, gate in spec.gates.items()}
    tried = [label for label, cls in classes.items() if cls.trained]
    notes, errors = _tried(spec, task, tried)
    compared = {label for label, cls in classes.items() if cls.role == "gate"} or classes.keys()
    if here and errors and compared <= errors.keys():
        raise _fault(spec, task, errors, tried) from next(iter(errors.values()))
    fails = [f"{label}: its trials will fail: {error}" for label, error in errors.items()]
    told = [f"{_named(of, tried)}: {note}" for note, of in notes.items()]
    by_gate = [f"{label}: {note}" for note, of in notes.items() for label in of]
    return Notes(told + fails, by_gate)


def _tried(
    spec: Spec, task: Task, labels: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, ForeignError]]:
    """Return of which gates each note is, and what raises."""
    notes: dict[str, list[str]] = {}
    errors: dict[str, ForeignError] = {}
    for label in labels:
        try:
            with foreign():
                for note in _try(spec, task, label):
                    notes.setdefault(note, []).append(label)
        except ForeignError as error:
            errors[label] = error
    task.forget("test")
    return notes, errors


def _named(labels: Sequence[str], tried: Sequence[str]) -> str:
    return "every gate" if len(labels) == len(tried) > 1 else ", ".join(labels)


def _fault(
    spec: Spec, task: Task, errors: Mapping[str, ForeignError], tried: Collection[str]
) -> SpecError:
    """Return whose fault errors are: the task's if all have one, else each gate's or learner's."""
    alike = {_placed(error) for error in errors.values()}
    learners = {label for label in errors if _is_learners(spec, task, label)}
    same = len(alike) == 1 and len(errors) == len(tried)
    if same and not learners and not _trains_ours(spec, task, errors):
        return SpecError("", "task", f"no gate can be trained: {alike.pop()}")
    return SpecError.of(
        (f"gates.{label}.learner", f"nothing can be trained by it: {_placed(error)}")
        if label in learners
        else (f"gates.{label}", f"cannot be trained: {_placed(error)}")
        for label, error in errors.items()
    )


def _is_learners(spec: Spec, task: Task, label: str) -> bool:
    """Return whether a gate that raises with a learner of others' can be trained without it."""
    gate = spec.gates[label]
    return not is_ours(gate.learner.cls) and _trains(
        spec, task, label, gate.model_copy(update={"learner": LearnerSpec()})
    )


def _placed(error: ForeignError) -> str:
    """Return an error with its place in code of others, which a ``ValueError`` does not say."""
    cause = error.__cause__
    place = place_of(cause) if isinstance(cause, ValueError) else None
    return f"{error} ({place.filename}, line {place.lineno})" if place else str(error)


def _trains_ours(spec: Spec, task: Task, labels: Collection[str]) -> bool:
    """Return whether a gate of ours can be trained in place of those that raise, all of others.

    It is asked where they raise alike: alone, or one of them twice, a gate says nothing of the
    task. It learns as the first of them does, whose learner may be at fault for all.
    """
    chosen = [spec.gates[label] for label in labels]
    if any(is_ours(gates.get(gate.gate)) for gate in chosen):
        return False
    return _trains(spec, task, WITNESS, GateSpec(gate=WITNESS, learner=chosen[0].learner))


def _trains(spec: Spec, task: Task, label: str, gate: GateSpec) -> bool:
    """Return whether a gate can be trained that a spec does not have so."""
    try:
        with foreign():
            _try(spec.model_copy(update={"gates": {label: gate}}), task, label)
    except ForeignError:
        return False
    finally:
        task.forget("test")
    return True


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
