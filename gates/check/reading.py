"""Checks of hyperparameters: each is read, and real ones are where stacked gates have their own."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import torch
from optuna.distributions import FloatDistribution

from gatelab.conformance import fail
from gatelab.gates.check.subject import Subject, route, rows
from gatelab.gates.gate import Gate
from gatelab.nn.likeness import difference

ROUNDED = ("int", "round", "ceil", "floor")
"""What makes whole numbers, as a size is."""

TRIED = (0.25, 0.5, 0.75, 1.5, 3.0)
"""Values of a real hyperparameter that is not searched, of which two are to be taken."""


def check_hyperparameters_are_read(subject: Subject) -> None:
    """What the constructor takes, it or another method uses."""
    arguments = [name for name in subject.defaults() if name in _own_arguments(subject.cls)]
    try:
        made, methods = _parsed(subject.cls.__init__), _methods(subject.cls)
    except (OSError, TypeError):
        return  # its source is not known
    used, kept = set(_used(made)), dict(_kept_as(made))
    read = {*_attributes_read(methods), *_noted(subject), "k"}  # which the framework reads
    for name in arguments:
        if name not in used and not read & {name, kept.get(name)}:
            fail(f"{name!r} is never read", "a hyperparameter that is taken, or kept, but not used")


def check_real_hyperparameters_are_registered(subject: Subject) -> None:
    """Gates that differ in a real hyperparameter alone differ in tensors alone."""
    for name, default in subject.defaults().items():
        if isinstance(default, float):
            made = list(_made(subject, name))[:2]
            if len(made) == 2 and (found := difference(*made)):
                cause = _in_a_layer(name) if _differ_in_a_layer(made[0], found) else _plain(name)
                if _sets_a_size(subject.cls, name):
                    cause = (
                        f"`{name}` sets a size, which no buffer can: an integer, as in percent, "
                        "fixes the structure, and gates of one value train together"
                    )
                fail(f"of gates with two values of {name!r} {found}", cause)


def _differ_in_a_layer(gate: Gate, found: str) -> bool:
    return found.startswith(tuple(f"'{name}." for name, _ in gate.named_children()))


def _sets_a_size(cls: type[Gate], name: str) -> bool:
    """Return whether a whole number is made of a hyperparameter, as by ``int(factor * rows)``."""
    try:
        methods = _methods(cls)
    except (OSError, TypeError):  # its source cannot be read
        return False
    calls = (node for node in ast.walk(methods) if isinstance(node, ast.Call))
    whole = (c for c in calls if ast.unparse(c.func).rpartition(".")[2] in ROUNDED)
    parts = (node for call in whole for node in ast.walk(call))
    return any(name in (getattr(it, "attr", ""), getattr(it, "id", "")) for it in parts)


def _in_a_layer(name: str) -> str:
    return (
        f"a layer that keeps it as a Python number, as `nn.Dropout({name})`: register it and "
        f"compute with `self.{name}` in forward; in training "
        f"`x * (torch.rand_like(x) >= self.{name}) / (1 - self.{name})` drops"
    )


def _plain(name: str) -> str:
    return f"`{name}` as a Python number: `self.register_hyperparameters({name}=...)`"


def _made(subject: Subject, name: str) -> Iterator[Gate]:
    """Yield gates with several values of a hyperparameter, as far as it takes them."""
    searched = subject.cls.search_space.get(name)
    known = (searched.low, searched.high) if isinstance(searched, FloatDistribution) else ()
    for value in (*known, *TRIED):
        try:
            yield subject.make(**{name: value})
        except ValueError:
            continue


def _own_arguments(cls: type[Gate]) -> set[str]:
    """Return the arguments of the class's own constructor, if it has one."""
    if "__init__" not in vars(cls):
        return set()
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {n for n, p in inspect.signature(cls).parameters.items() if p.kind in kinds}


def _methods(cls: type[Gate]) -> ast.AST:
    """Return a class, and those of its bases that stand on Gate themselves, as Python reads it."""
    bases = (base for base in cls.__mro__ if issubclass(base, Gate) and base is not Gate)
    return ast.Module([node for base in bases for node in _parsed(base).body], [])


def _parsed(known: Any) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(known)))


def _attributes_read(methods: ast.AST) -> Iterator[str]:
    """Yield the attributes that any method reads, in whatever mode and with whatever options."""
    for node in ast.walk(methods):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr


def _kept_as(made: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the arguments that a constructor keeps as they are, and the attributes they become."""
    for node in ast.walk(made):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Attribute):
                    yield node.value.id, target.attr


def _noted(subject: Subject) -> set[str]:
    """Return the attributes that passes and updates read, by ``getattr`` too."""
    gate, names = subject.make(), set[str]()

    def note(self: Any, name: str) -> Any:
        names.add(name)
        return super(noting, self).__getattribute__(name)

    noting: Any = type(type(gate).__name__, (type(gate),), {"__getattribute__": note})
    gate.__class__ = noting
    for training in (True, False):
        gate.update(route(gate.train(training), rows()), torch.tensor(0.5))
    return names


def _used(made: ast.AST) -> Iterator[str]:
    """Yield the names that a constructor does more with than to check or to keep them."""
    kept = {id(name) for node in ast.walk(made) for name in _only_kept(node)}
    for node in ast.walk(made):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in kept:
            yield node.id


def _only_kept(node: ast.AST) -> Iterator[ast.Name]:
    """Yield names that are handed to a check or registered, or kept as they are."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).rpartition(".")[2]
        if called == "register_hyperparameters" or called.startswith("check_"):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            yield from (value for value in values if isinstance(value, ast.Name))
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
        yield node.value


CHECKS = (check_hyperparameters_are_read, check_real_hyperparameters_are_registered)
"""In the order in which a mistake is best mended."""
