"""Remarks: what a spec says that is allowed, but may not be meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optuna.distributions import CategoricalDistribution

from gatelab.sweeps.spec.learner_spec import LearnerSpec, learner_space
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.spec.union_remarks import told_unions
from gatelab.tasks.task import Task
from gatelab.training.configuration import LEARNER


def told_remarks(spec: Spec, task: Task) -> list[str]:
    """Return a line for each thing that is remarked on a spec that has been checked, by gate."""
    return [*told_learners(spec, task), *told_unions(spec, task)]


def told_learners(spec: Spec, task: Task) -> list[str]:
    """Return a line for each thing that learners remark on their options, by gate.

    Args:
        spec: Whose gates may name learners; it has been checked.
        task: The spec's.
    """
    return [
        f"gate {label!r}: {remark}."
        for label, gate in spec.gates.items()
        for remark in _remarks(gate.learner, len(task.targets))
    ]


def _remarks(said: LearnerSpec, targets: int) -> list[str]:
    """Return what there is to remark with any one value of an option beside the defaults."""
    found = (
        remark
        for options in _single_choices(said)
        for remark in said.cls.remarks(said.cls.completed(options), targets)
    )
    return list(dict.fromkeys(found))


def _single_choices(said: LearnerSpec) -> Iterator[dict[str, Any]]:
    values, _ = learner_space(said)
    for name in said.cls.hyperparameters:
        value = values.get(f"{LEARNER}.{name}")
        choices = value.choices if isinstance(value, CategoricalDistribution) else (value,)
        yield from ({name: choice} for choice in choices if isinstance(choice, (str, bool)))
