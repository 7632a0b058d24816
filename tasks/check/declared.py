"""Checks of what a task says of itself: options, targets, hyperparameters, truth."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from inspect import Parameter
from typing import get_args

from gatelab.conformance import fail
from gatelab.tasks.check.subject import Subject, parameters
from gatelab.tasks.task import Kind, Target, Truth

NAME = re.compile(r"\w[\w.:-]*")
"""What a part of a metric's key may be."""


def check_is_documented(subject: Subject) -> None:
    """The class says in a sentence what it is about: ``gatelab list tasks`` shows it."""
    text = subject.cls.__dict__.get("__doc__")
    if not text or not text.strip():
        fail(f"{subject.cls.__name__} has no docstring", "the class has none of its own")


def check_options_are_keyword_arguments_with_defaults(subject: Subject) -> None:
    """Every option can be given by name, and none must be."""
    for option in parameters(subject.cls):
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
    """There are targets, of kinds and names that can be trained and recorded."""
    check_names_and_kinds(subject.targets)


def check_names_and_kinds(targets: object) -> None:
    """Check what a task has as targets, before anything is trained or recorded by them.

    Raises:
        CheckFailed: With the first thing that cannot be.
    """
    if not isinstance(targets, tuple) or not targets:
        fail(f"targets are {targets!r}", "no tuple, or one that stays empty")
    for target in targets:
        _check_name(target.name)
        _check_kind(target)
        if not (math.isfinite(target.weight) and target.weight > 0):
            fail(f"the weight of {target.name!r} is {target.weight}", "a target to be left out")
    (name, count), *_ = Counter(target.name for target in targets).most_common(1)
    if count > 1:
        fail(f"{count} targets are called {name!r}", "a name that does not count up")


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name == "mean":
        fail(
            f"a target is called {name!r}, which cannot be part of a metric's key",
            "a slash, a space or a sign in it; or the word of the mean over targets",
        )


def _check_kind(target: Target) -> None:
    if target.kind not in get_args(Kind):
        fail(f"the kind of {target.name!r} is {target.kind!r}", f"none of {get_args(Kind)}")
    classes = target.num_classes
    if target.kind != "multiclass" and classes is not None:
        fail(
            f"{target.kind} target {target.name!r} has num_classes={classes!r}",
            "a number of classes that is for multiclass only",
        )
    if target.kind == "multiclass" and not (isinstance(classes, int) and classes >= 2):
        fail(
            f"multiclass target {target.name!r} has num_classes={classes!r}",
            "a number of classes left out, or counted in data with one class",
        )


def check_truth_fits(subject: Subject) -> None:
    """The planted structure, where there is one, has a group and experts for every target."""
    truth = subject.make().truth
    if truth is None:
        return
    groups, experts, targets = len(truth.groups), len(truth.experts), len(subject.targets)
    if not groups == experts == targets:
        fail(
            f"the truth has {groups} groups and {experts} sets of experts for {targets} targets",
            "a truth that is not made from the same options",
        )
    if not _indices(truth.groups):
        fail(f"groups are {truth.groups}", "names of groups, where indices from 0 on are due")
    for target, planted in zip(subject.targets, truth.experts, strict=True):
        if not planted or not _indices(tuple(planted)):
            fail(
                f"the experts of {target.name!r} are {list(planted)}",
                "a target made from no teacher, or no indices from 0 on",
            )
    _check_groups(truth)


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
    check_truth_fits,
)
