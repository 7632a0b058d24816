"""Rules of what a search and an evaluation may be, beyond their form."""

from __future__ import annotations

from gatelab.registry import near_misses
from gatelab.sweeps.spec.faults import raise_faults
from gatelab.sweeps.spec.rounds import default_rounds, round_size
from gatelab.sweeps.spec.searches import row_label
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.task import Task, split_seeds


def check_grace(spec: Spec) -> None:
    """Check that trials are compared before they end.

    Raises:
        SpecError: If they are not.
    """
    halving, max_epochs = spec.search.early_stopping, spec.training.max_epochs
    if halving and halving.grace_epochs and halving.grace_epochs > max_epochs:
        raise SpecError(
            "",
            "search.early_stopping.grace_epochs",
            "`grace_epochs <= max_epochs` must hold, "
            f"but got (grace_epochs={halving.grace_epochs}, {max_epochs=}).",
        )


def check_rounds(spec: Spec) -> None:
    """Check that rounds are of equal sizes, and large enough for one of a rung to go on.

    Raises:
        SpecError: If they are not.
    """
    trials, halving = spec.search.trials, spec.search.early_stopping
    rounds = spec.search.rounds or default_rounds(trials)
    if trials % rounds:
        fitting = ", ".join(str(n) for n in range(1, trials + 1) if trials % n == 0)
        message = f"`rounds` must divide `trials`, but got ({rounds=}, {trials=}); {fitting} do."
        raise SpecError("", "search.rounds", message)
    size = trials // rounds
    if halving and 1 < size < halving.reduction_factor:
        raise SpecError(
            "",
            "search.early_stopping.reduction_factor",
            "`reduction_factor <= trials / rounds` must hold, "
            f"but got (reduction_factor={halving.reduction_factor}, {trials=}, {rounds=}).",
        )


def check_first(spec: Spec) -> None:
    """Check that what is tried first is of gates that there are, and fits into the first round."""
    search = spec.search
    room = round_size(search) - 1
    faults = []
    for label, listed in search.first.items():
        path = f"search.first.{label}"
        if label not in spec.gates:
            faults.append((path, f"is no gate of the spec; {near_misses(label, spec.gates)}"))
        elif len(listed) > room:
            message = (
                f"at most {room} fit into the first round beside the default, but got "
                f"{len(listed)}: a round has `trials / rounds`."
            )
            faults.append((path, message))
    raise_faults(faults)


def check_splits(spec: Spec, task: Task) -> None:
    """Check that a task can be divided as often as the evaluation asks for.

    Raises:
        SpecError: If it cannot.
    """
    splits = spec.evaluation.splits
    if splits > 1 and not split_seeds(task):
        why = (
            "whose options say which rows are in which split"
            if task.fixed_split
            else "which takes no `split_seed` by which it could be divided anew"
        )
        raise SpecError(
            "",
            "evaluation.splits",
            f"must be 1 on task {spec.task.name!r}, {why}, but got {splits}.",
        )


def check_row_names(spec: Spec) -> None:
    """Check that no gate has the name of another's row at one k."""
    rows = {
        row_label(label, k): label
        for label, gate in spec.gates.items()
        if isinstance(listed := gate.hyperparameters.get("k"), tuple)
        for k in listed
    }
    raise_faults(
        (f"gates.{name}", f"is the name of the row of {rows[name]!r} at one k: take another.")
        for name in spec.gates
        if name in rows
    )
