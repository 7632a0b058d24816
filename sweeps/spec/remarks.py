"""Remarks: what a spec says that is allowed, but may not be meant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from optuna.distributions import CategoricalDistribution, IntDistribution

from gatelab.foreign import ForeignError, lines_by
from gatelab.sweeps.spec.batch_remarks import told_batches
from gatelab.sweeps.spec.learner_spec import LearnerSpec, learner_space
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.spec.table_remarks import told_tables
from gatelab.sweeps.spec.union_remarks import told_unions
from gatelab.tasks.task import Task
from gatelab.training.configuration import LEARNER

FEWEST_STEPS = 20
"""Of an epoch, that go without a word."""


def told_remarks(spec: Spec, task: Task) -> list[str]:
    """Return a line for each thing that is remarked on a spec that has been checked."""
    return [
        *_told_steps(spec, task),
        *told_learners(spec, task),
        *told_unions(spec, task),
        *told_batches(spec, task),
        *told_tables(spec, task),
    ]


def _told_steps(spec: Spec, task: Task) -> Iterator[str]:
    """Tell of epochs of so few steps that a training is over before it has begun."""
    rows, batch = len(task.data("train").inputs), spec.training.batch_size
    steps = _steps_of_epoch(spec, task)
    if steps < FEWEST_STEPS:
        yield (
            f"an epoch has {steps} step{'' if steps == 1 else 's'}, of {rows:,} train rows by "
            f"{batch:,}: with fewer than {FEWEST_STEPS} little is learnt in one; a smaller "
            "`training.batch_size`, or more epochs and patience?"
        )


def _steps_of_epoch(spec: Spec, task: Task) -> int:
    return math.ceil(len(task.data("train").inputs) / spec.training.batch_size)


def told_learners(spec: Spec, task: Task) -> list[str]:
    """Return a line for each thing that learners remark on their options, by gate.

    Args:
        spec: Whose gates may name learners; it has been checked.
        task: The spec's.
    """
    of = len(task.targets), _steps_of_epoch(spec, task) * spec.training.max_epochs
    return [
        f"gate {label!r}: {remark}."
        for label, gate in spec.gates.items()
        for remark in _remarks(gate.learner, *of)
    ]


def _remarks(said: LearnerSpec, targets: int, steps: int) -> list[str]:
    """Return what there is to remark with any one value of an option beside the defaults.

    A learner whose own cannot be had is remarked for that: it can be trained all the same.
    """
    try:
        found = [
            remark
            for options in _single_choices(said)
            for remark in lines_by(
                partial(said.cls.remarks, said.cls.completed(options), targets, steps)
            )
        ]
    except ForeignError as error:
        return [f"what its learner remarks cannot be had: {error}"]
    return [remark.rstrip(".") for remark in dict.fromkeys(found)]


def _single_choices(said: LearnerSpec) -> Iterator[dict[str, Any]]:
    if not said.cls.hyperparameters:
        yield {}
    values, _ = learner_space(said)
    for name in said.cls.hyperparameters:
        value = values.get(f"{LEARNER}.{name}")
        yield from ({name: one} for one in _ends(value) if isinstance(one, (str, int)))


def _ends(value: Any) -> tuple[Any, ...]:
    """Return what an option may be that is fixed or one of several, and the ends of integers."""
    if isinstance(value, CategoricalDistribution):
        return value.choices
    return (value.low, value.high) if isinstance(value, IntDistribution) else (value,)
