"""Checks that data follow from the options: in any order, process and random state."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, cast

from gatelab.conformance import fail
from gatelab.foreign import text_of
from gatelab.tasks.check.random_states import random_states, seeded
from gatelab.tasks.check.subject import SPLITS, Data, Subject, identical, parameters, splits_of
from gatelab.tasks.task import Split, Task, split_seeds


def check_same_options_give_the_same_data(subject: Subject) -> None:
    """Two tasks of the same options have the same splits."""
    _check_same(
        subject.splits,
        subject.data(),
        "differs between two tasks of the same options",
        "numbers from the clock, the system or a state that tasks share",
    )


def check_splits_do_not_depend_on_their_order(subject: Subject) -> None:
    """A split is the same whichever was asked for first, and when asked for again."""
    _check_same(
        subject.splits,
        subject.data(order=(*SPLITS[::-1], *SPLITS)),
        "depends on the splits that were asked for before",
        "one random stream for all splits, where each needs its own",
    )


def check_data_do_not_depend_on_global_seeds(subject: Subject) -> None:
    """Whatever the process drew or seeded before, the data are the same."""
    _check_same(
        subject.splits,
        subject.data(world=1),
        "depends on the global random states",
        "numbers of torch's, numpy's or Python's own generator, not of one made from the seed",
    )


def check_random_states_are_left_alone(subject: Subject) -> None:
    """To make a task and its data moves no global random state."""
    with seeded(0):
        before = random_states()
        task = subject.make()
        for name in SPLITS:
            task.split(name)
        after = random_states()
    moved = [whose for whose, state in before.items() if after[whose] != state]
    if moved:
        fail(f"the random state of {moved[0]} is moved", "a draw from it, or a seed set")


def check_the_seed_matters(subject: Subject) -> None:
    """Another ``seed`` gives other data, where a task takes one."""
    if "seed" not in {option.name for option in parameters(subject.cls)}:
        return
    first, second = (subject.data(seed=seed) for seed in (1, 2))
    if all(identical(first[name], second[name]) for name in SPLITS):
        fail("seeds 1 and 2 give the same data", "a seed that is kept but not used")


def check_split_seeds_give_other_rows(subject: Subject) -> None:
    """Another ``split_seed``, where a task takes one, changes every split; the same one none."""
    if not split_seeds(subject.make()):
        return
    first, second, again = (subject.data(split_seed=seed) for seed in (1, 2, 1))
    _check_same(
        first,
        again,
        "differs between two tasks of the same split_seed",
        "numbers that follow from no seed",
    )
    for name in SPLITS:
        if identical(first[name], second[name]):
            fail(f"split seeds 1 and 2 give the same {name}", "rows that only `seed` divides")


def check_split_seeds_keep_the_task(subject: Subject) -> None:
    """What is learned, and what is planted, follows from ``seed`` alone."""
    if not split_seeds(subject.make()):
        return
    default = inspect.signature(subject.cls).parameters["split_seed"].default
    if default != 0:
        fail(f"the default of 'split_seed' is {default!r}, not 0", "another split for each task")
    first, second = (subject.make(split_seed=seed) for seed in (0, 1))
    if first.targets != second.targets or first.truth != second.truth:
        what = "targets" if first.targets != second.targets else "truth"
        fail(f"split seeds 0 and 1 give other {what}", "a stream that is drawn from for both")
    rows = [_row(splits_of(task, order=("train",))["train"]) for task in (first, second)]
    if rows[0] != rows[1]:
        fail(
            f"a row is {rows[0]} with split seed 0, but {rows[1]} with 1",
            "columns that are made from each split's own values",
        )


def _row(split: Split) -> str:
    """Return what a row is; how many there are may follow from the division."""
    inputs, targets = split.inputs, split.targets
    return f"{tuple(inputs.shape[1:])} {inputs.dtype} with {tuple(targets.shape[1:])} targets"


def check_options_are_not_changed(subject: Subject) -> None:
    """Making a task leaves the values that it was given as they were."""
    given = copy.deepcopy(dict(subject.options))
    cast(Any, subject.cls)(**given)
    if given != subject.options:
        fail(f"the constructor turns {dict(subject.options)} into {given}", "a list kept as it is")


def check_pickles(subject: Subject) -> None:
    """A task can be sent to another process, before and after it has made data."""
    fresh, used = subject.make(), subject.make()
    splits_of(used)
    for when, task in (("before", fresh), ("after", used)):
        _check_same(
            subject.splits,
            splits_of(_pickled(task, when)),
            f"is another once a task is pickled {when} its first split",
            "a `__getstate__` that leaves something out",
        )


def _pickled(task: Task, when: str) -> Task:
    try:
        copied: Task = pickle.loads(pickle.dumps(task))
    except Exception as error:  # pickle raises almost anything
        why = f"{type(error).__name__}: {text_of(error)}"
        fail(
            f"pickling {when} the first split raises {why}",
            "an open file, a lambda or a local class that the task keeps",
        )
    return copied


def _check_same(first: Data, second: Data, found: str, cause: str) -> None:
    for name in SPLITS:
        if not identical(first[name], second[name]):
            fail(f"{name} {found}", cause)


CHECKS = (
    check_same_options_give_the_same_data,
    check_splits_do_not_depend_on_their_order,
    check_data_do_not_depend_on_global_seeds,
    check_random_states_are_left_alone,
    check_the_seed_matters,
    check_split_seeds_give_other_rows,
    check_split_seeds_keep_the_task,
    check_options_are_not_changed,
    check_pickles,
)
