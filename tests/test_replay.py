"""When a step is written down, and what may not change before: by plain steps and owners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from gatelab.training.replay import Replay


class Plain(Replay):
    """Notes after how many steps it begins to write down."""

    eager = 3
    form = "noted"
    begun_at: int | None = None

    def begin(self) -> None:
        self.begun_at = self.steps


class Owner:
    """Remembers something from step to step."""

    kept: Any


class Layer(nn.Module):
    """Does so too."""

    kept: Any


def steps(owner: object, values: Iterator[Any]) -> Plain:
    """Take four steps, after each of which the owner holds the next value."""
    replay = Plain(lambda: setattr(owner, "kept", next(values)), [SimpleNamespace(a=1), owner])
    for _ in range(4):
        replay()
    return replay


def test_a_step_is_written_down_after_so_many() -> None:
    taken: list[int] = []
    replay = Plain(lambda: taken.append(1))
    for number in range(1, 6):
        replay()
        assert (len(taken), replay.steps) == (number, number)
        assert replay.begun_at == (3 if number >= 3 else None)
    assert not replay.failure


def _object(value: Any) -> Any:
    return SimpleNamespace(inner=value)


HOLDERS: list[Callable[[Any], Any]] = [
    lambda it: it,
    lambda it: [0, it],
    lambda it: (0, it),
    lambda it: {"a": 0, "b": it},
    _object,
]


@pytest.mark.parametrize("owner", [Owner, Layer])
@pytest.mark.parametrize("hold", HOLDERS, ids=["itself", "list", "tuple", "mapping", "object"])
@pytest.mark.parametrize("pair", [(1, 2), (0.5, 0.25), (True, False), ("a", "b"), (b"a", b"b")])
def test_another_value_is_a_change(
    pair: tuple[Any, Any], hold: Callable[[Any], Any], owner: Callable[[], Any]
) -> None:
    one, two = map(hold, pair)
    found = steps(made := owner(), iter([one, one, two, two]))
    assert found.failure == f"{type(made).__name__}.kept changes from step to step"
    assert found.begun_at is None and found.again is found.step


@pytest.mark.parametrize("owner", [Owner, Layer])
def test_a_value_more_or_less_is_a_change(owner: Callable[[], Any]) -> None:
    for before, after in (([1], [1, 1]), ([1, 1], [1]), ({3}, {3, 4}), (None, 1), (1, None)):
        assert steps(owner(), iter([0, before, after, after])).failure


@pytest.mark.parametrize("owner", [Owner, Layer])
@pytest.mark.parametrize("hold", HOLDERS, ids=["itself", "list", "tuple", "mapping", "object"])
def test_the_same_value_made_anew_is_none(
    hold: Callable[[Any], Any], owner: Callable[[], Any]
) -> None:
    """Nor is one that was another before the last two steps, or is from the next on."""
    values = (hold(1), hold(float("0.1")), hold(float("0.1")), hold(2))
    found = steps(owner(), iter(values))
    assert found.begun_at == 3 and not found.failure
    nan = hold(math.nan)
    assert steps(owner(), iter([nan] * 4)).begun_at == 3


@pytest.mark.parametrize("hold", HOLDERS, ids=["itself", "list", "tuple", "mapping", "object"])
def test_a_tensor_in_place_of_another_is_a_change_but_of_a_module(
    hold: Callable[[Any], Any],
) -> None:
    """Whose forward makes its own anew; equal numbers in it are another tensor still."""
    first, second = hold(torch.ones(1)), hold(torch.ones(1))
    values = (first, first, second, second)
    assert steps(Owner(), iter(values)).failure == "Owner.kept changes from step to step"
    assert steps(Layer(), iter(values)).begun_at == 3
    assert steps(Owner(), iter([first] * 4)).begun_at == 3


def test_what_a_module_within_remembers_is_its_own_to_tell() -> None:
    """Each is among the owners; a class or a module of Python belongs to no step."""
    inner = Layer()
    counts = iter(range(9))

    def step() -> None:
        inner.kept = next(counts)

    outside = [SimpleNamespace(inner=inner, of=Layer, library=math, tensor=torch.ones(1))]
    replay = Plain(step, outside)
    for _ in range(3):
        replay()
    assert replay.begun_at == 3
    told = Plain(step, [*outside, inner])
    for _ in range(3):
        told()
    assert told.failure == "Layer.kept changes from step to step"


def test_a_step_that_is_being_written_down_says_so_until_it_ends_or_raises() -> None:
    seen: list[bool] = []
    replay = Plain(lambda: seen.append(replay.writing))
    replay()
    replay.write()
    assert seen == [False, True] and not replay.writing

    def fails() -> None:
        raise ZeroDivisionError

    raising = Plain(fails)
    with pytest.raises(ZeroDivisionError):
        raising.write()
    assert not raising.writing
