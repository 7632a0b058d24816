"""Checks of what a task says of itself: options, targets, hyperparameters, truth."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from inspect import Parameter

from gatelab.conformance import CheckFailed, fail
from gatelab.tasks.check.subject import Subject, parameters
from gatelab.tasks.loss import check_loss
from gatelab.tasks.target import Target
from gatelab.tasks.task import Regimes, Truth


def check_is_documented(subject: Subject) -> None:
    """The class says in a sentence what it is about: ``gatelab list tasks`` shows it."""
    text = subject.cls.__dict__.get("__doc__")
    if not text or not text.strip():
        fail(f"{subject.cls.__name__} has no docstring", "the class has none of its own")


def check_options_are_keyword_arguments_with_defaults(subject: Subject) -> None:
    """Every option can be given by name, and none must be.

    What has no name is no option, such as a frame: a spec cannot give it, so none must be given.
    """
    for option in parameters(subject.cls):
        unnamed = option.kind == Parameter.POSITIONAL_ONLY
        if not unnamed or option.default is Parameter.empty:
            _check_keyword("option", option)


def check_network_hyperparameters_are_keyword_arguments(subject: Subject) -> None:
    """Every hyperparameter has a name of its own, and a default that a spec can hold."""
    for option in parameters(subject.make().network):
        _check_keyword("hyperparameter", option)
        if option.name == "num_experts":
            fail("network takes 'num_experts'", "the number of experts is the mixture's to know")
        if not isinstance(option.default, bool | int | float | str | None):
            fail(
                f"the default of {option.name!r} is a {type(option.default).__name__}",
                "a value that is no number, text, bool or None",
            )


def _check_keyword(what: str, option: Parameter) -> None:
    if option.kind != Parameter.KEYWORD_ONLY:
        fail(
            f"{what} {option.name!r} is {option.kind.description}, not keyword-only",
            "no `*` before it, or options passed on unnamed",
        )
    if option.default is Parameter.empty:
        fail(f"{what} {option.name!r} has no default", "a value that only its author knows")


def check_targets(subject: Subject) -> None:
    """There are targets, whose names no store takes for one."""
    check_set_of_targets(subject.targets)


def check_set_of_targets(targets: object) -> None:
    """Check what a task has as targets, each of which has checked itself.

    Raises:
        CheckFailed: If there is none, two would be recorded as one, or a loss cannot be.
    """
    if not isinstance(targets, tuple) or not all(isinstance(t, Target) for t in targets):
        fail(f"targets are {targets!r:.200}", "no tuple of Target")
    if not targets:
        fail("targets are ()", "a tuple that stays empty")
    seen: dict[str, str] = {}
    for target in targets:
        name, read = target.name, unicodedata.normalize("NFKC", target.name).casefold()
        if read in seen:
            both = f"are called {name!r}" if seen[read] == name else f"are {seen[read]!r}, {name!r}"
            fail(f"two targets {both}", "a name that does not count up, or differs in case alone")
        seen[read] = name
        try:
            check_loss(target)
        except ValueError as error:
            raise CheckFailed(str(error)) from error


def check_what_is_said_is_lines(subject: Subject) -> None:
    """What a task says of its data, and warns of, is a tuple of texts of one line each."""
    task = subject.make()
    for name, lines in (("said", task.said), ("warnings()", task.warnings())):
        if not isinstance(lines, tuple):
            fail(f"{name} is a {type(lines).__name__}", "a text, whose letters would be lines")
        for line in lines:
            if not (isinstance(line, str) and line.strip() and len(line.splitlines()) == 1):
                fail(f"{name} has {line!r:.200}", "no text of one line")


def check_truth_fits(subject: Subject) -> None:
    """The planted structure, if any, has a group for every target, and experts if it knows them."""
    check_truth(subject.make().truth, subject.targets)


def check_truth(truth: object, of: Sequence[Target]) -> None:
    """Check what a task plants, if anything, against its targets.

    Raises:
        CheckFailed: If it is none of them, or nothing that is planted.
    """
    if truth is None:
        return
    if not isinstance(truth, Truth):
        fail(f"truth is {truth!r:.200}", "no Truth")
    groups, experts, targets = len(truth.groups), len(truth.experts), len(of)
    if groups != targets or (experts != targets and (truth.experts or truth.regimes)):
        fail(
            f"the truth has {groups} groups and {experts} sets of experts for {targets} targets",
            "a truth that is not made from the same options",
        )
    if not _indices(truth.groups):
        fail(f"groups are {truth.groups}", "names of groups, where indices from 0 on are due")
    if truth.experts:
        _check_experts(of, truth)


def _check_experts(targets: Sequence[Target], truth: Truth) -> None:
    for target, planted in zip(targets, truth.experts, strict=True):
        if not planted or not _indices(tuple(planted)):
            fail(
                f"the experts of {target.name!r} are {list(planted)}",
                "a target made from no teacher, or no indices from 0 on",
            )
    _check_groups(truth)
    if truth.regimes is not None:
        _check_regimes(truth, truth.regimes)


def _check_regimes(truth: Truth, regimes: Regimes) -> None:
    if len(regimes.experts) != 2 ** len(regimes.directions):
        fail(
            f"{len(regimes.directions)} directions part {len(regimes.experts)} regimes",
            "a regime for each pattern of sides is due",
        )
    by_target = list(zip(*regimes.experts, strict=False))
    if [frozenset().union(*sets) for sets in by_target] != list(truth.experts):
        fail("the experts of a target are not those of its regimes", "a truth of one regime")


def _check_groups(truth: Truth) -> None:
    experts_of: dict[int, frozenset[int]] = {}
    for group, experts in zip(truth.groups, truth.experts, strict=True):
        if experts_of.setdefault(group, experts) != experts:
            fail(
                f"targets of group {group} have experts {list(experts_of[group])} "
                f"and {list(experts)}",
                "groups and experts in different orders",
            )


def _indices(values: Sequence[object]) -> bool:
    return all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)


CHECKS = (
    check_is_documented,
    check_options_are_keyword_arguments_with_defaults,
    check_targets,
    check_network_hyperparameters_are_keyword_arguments,
    check_what_is_said_is_lines,
    check_truth_fits,
)
