"""The conformance suite of learners: what every learner keeps to, one function a check."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

import torch

from gatelab.conformance import Outcome, as_test, fail, run_all
from gatelab.gates import Gate, SoftmaxGate
from gatelab.tasks import BrainEncoding, SyntheticGroups, Task
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.learners import Learner, learners
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

TASKS: tuple[Task, ...] = (
    SyntheticGroups(num_targets=3, train_rows=96, val_rows=64, test_rows=64),
    BrainEncoding(words=360, voxels=8, noise=0.3),
)
"""A learner is checked on the first whose models it fits: the other has linear experts."""
EPOCHS = 3
STEP = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}


@dataclass(frozen=True)
class CheckedLearner:
    """What is checked: a learner by its key in the registry, with values of its options."""

    key: str
    options: Mapping[str, Any]

    @property
    def cls(self) -> type[Learner]:
        """Its class."""
        return learners.get(self.key)

    @property
    def task(self) -> Task:
        """What it learns."""
        return next((it for it in TASKS if not self.cls.misfit(*_parts(it))), TASKS[0])

    def training(self, seeds: Sequence[int] = (0, 1), *, epochs: int = EPOCHS) -> Training:
        """Begin with members of these seeds."""
        own = {f"{LEARNER}.{name}": v for name, v in self.cls.completed(self.options).items()}
        values = Configuration.of({}, {"num_experts": 4}, STEP).values
        chosen = Configuration({**values, LEARNER: self.key, **own})
        members = [Member(chosen, seed) for seed in seeds]
        return Training(self.task, SoftmaxGate, members, Recipe(32, epochs))


def _parts(task: Task) -> tuple[Network, Sequence[Target], Gate]:
    network = task.network()
    return network, task.targets, SoftmaxGate(network.gate_features, 4)


def check_learner_is_declared(subject: CheckedLearner) -> None:
    """It is described, and its options are allowed as they are by default."""
    if not (subject.cls.__doc__ or "").strip():
        fail("it has no docstring", "nothing says what it minimises, and where it is from")
    for name, option in subject.cls.hyperparameters.items():
        if not isinstance(option.default, (bool, int, float, str, NoneType)):
            fail(f"the default of `{name}` is {option.default!r}", "a value that no spec can say")
    targets = len(subject.task.targets)
    faults = subject.cls.faults(subject.cls.completed(subject.options), targets)
    for name, why in faults.items():
        fail(f"`{name}`: {why}", f"a default, or `faults`, that is wrong for {targets} targets")


def check_learner_trains(subject: CheckedLearner) -> None:
    """It goes through a training, after which the loss is lower than at the start."""
    training = subject.training(epochs=8)
    first = [found.loss for found in training.evaluate_best("val")]
    for _ in range(8):
        last = [found.loss for found in _evaluations(training)]
    if not all(after < before for before, after in zip(first, last, strict=True)):
        fail(
            f"the val loss of two members was {first} before an epoch, and is {last} after eight",
            "a step that leads elsewhere than to less loss",
        )


def _evaluations(training: Training) -> list[Any]:
    return [evaluation for _, evaluation in training.run_epoch().values()]


def check_what_is_told_is_declared(subject: CheckedLearner) -> None:
    """What it tells of members has a meaning, and is finite."""
    training = subject.training()
    _evaluations(training)
    for evaluation in training.evaluate_best("val"):
        for name, value in evaluation.learner.items():
            if name not in subject.cls.diagnostics:
                fail(f"it tells of {name!r}", "`diagnostics` does not say what that is")
            if not math.isfinite(value):
                fail(f"{name} is {value}", "a sum over no numbers, or what has not begun yet")
        expected = subject.cls.tells(subject.cls.completed(subject.options))
        missing = set(expected) - evaluation.learner.keys()
        if missing:
            fail(
                f"{min(missing)!r} is not told of",
                "`facts`, `beside` and `spent` leave it out, and `tells` does not",
            )


def check_steps_are_in_place(subject: CheckedLearner) -> None:
    """What it changes are the members' own tensors: a GPU runs a step again as it was recorded."""
    training = subject.training()
    flat = training.members.flat.detach()  # held: others could lie where freed numbers were
    _evaluations(training)
    if training.members.flat.data_ptr() != flat.data_ptr():
        fail("`members.flat` is another tensor", "`=` instead of `copy_`, `add_` or `mix`")


def check_members_do_not_meet(subject: CheckedLearner) -> None:
    """A member is the same to the last bit, whoever is beside it and has left."""
    courses = [subject.training(seeds) for seeds in ((1, 3, 2), (4, 3, 5))]
    for training in courses:
        _evaluations(training)
        training.drop([0])
        _evaluations(training)
    first, second = (each.copies.state(each.members, 0) for each in courses)
    for name in first:
        if not torch.equal(first[name], second[name]):
            cause = "an operation over all members, or what is kept of them without `remembered`"
            fail(f"{name} depends on who trains beside it", cause)


def check_a_state_is_gone_on_from(subject: CheckedLearner) -> None:
    """A training that was stopped goes on from its states as if it had not been."""
    straight, halted, again = (subject.training() for _ in range(3))
    for _ in range(2):
        _evaluations(straight)
    _evaluations(halted)
    again.load([halted.state(member) for member in range(2)])
    _evaluations(again)
    if not torch.equal(straight.members.flat, again.members.flat):
        fail("after a stop it goes on otherwise", "a tensor that `remembered` does not name")


CHECKS = (
    check_learner_is_declared,
    check_learner_trains,
    check_what_is_told_is_declared,
    check_steps_are_in_place,
    check_members_do_not_meet,
    check_a_state_is_gone_on_from,
)
"""In the order in which a mistake is best mended."""


def run_checks(key: str, **options: Any) -> list[Outcome]:
    """Run the suite over a learner; where it does not train, that is the last outcome.

    Args:
        key: A registered name, or ``"package.module:name"``.
        options: Other values than its defaults.
    """
    subject = CheckedLearner(key, options)
    return run_all(CHECKS, subject, subject.cls.expected_failed_checks, CHECKS[:2])


def check_learner(key: str, **options: Any) -> Callable[..., None]:
    """Return a test for pytest with one case a check, to be assigned to a name like ``test_mine``.

    Args:
        key: A registered name, or ``"package.module:name"``.
        options: Other values than its defaults.
    """
    return as_test(
        CHECKS,
        lambda: CheckedLearner(key, options),
        lambda subject: subject.cls.expected_failed_checks,
    )
