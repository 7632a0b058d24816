"""The form of a class of one's own: what cannot be used as its base's is refused at once."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest

from gatelab.gates import Gate, gates
from gatelab.registry import Registry
from gatelab.tasks import Loss, Metric, Task
from gatelab.tasks.loss import losses
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import tasks
from gatelab.training.learners import Learner, learners
from tests import in_process

HERE = f"({__file__}, line "


def a_method(self: Any) -> Any:
    """Stands where a value is due, and as such counts as true."""


def short(self: Any) -> Any:
    """Takes less than is given."""


CASES: list[tuple[Registry[Any], type, str, Any, str]] = [
    (gates, Gate, "hardens", a_method, f"a value of the class, but is a method {HERE}"),
    (
        gates,
        Gate,
        "search_space",
        property(a_method),
        f"a value of the class, but is a property {HERE}",
    ),
    (gates, Gate, "trained", functools.cached_property(a_method), "a value of the class, but is a"),
    (gates, Gate, "forward", {}, "a method, but is a value or a property"),
    (learners, Learner, "descends", a_method, "a value of the class, but is a method"),
    (learners, Learner, "facts", property(a_method), "a method, but is a value or a property"),
    (learners, Learner, "after_step", short, "take `(self, members)`, but takes `(self)`"),
    (learners, Learner, "__init__", short, "take `("),
    (tasks, Task, "draws_anew", a_method, "a value of the class, but is a method"),
    (tasks, Task, "licence", property(a_method), "a value of the class, but is a property"),
    (tasks, Task, "said", a_method, "a value or a property, but is a method"),
    (tasks, Task, "network", 3, "a method, but is a value or a property"),
    (tasks, Task, "split", short, "take `(self, name)`, but takes `(self)`"),
    (metrics, Metric, "takes_columns", a_method, "a value of the class, but is a method"),
    (metrics, Metric, "compute", short, "take `(self, outputs, target)`, but takes `(self)`"),
    (losses, Loss, "compute", short, "take `(self, outputs, target)`, but takes `(self)`"),
]


@pytest.mark.parametrize(
    ("registry", "base", "name", "found", "said"),
    CASES,
    ids=[f"{r.kind}-{n}-{type(f).__name__}" for r, _, n, f, _ in CASES],
)
def test_a_class_of_another_form_than_its_base_s_is_not_registered(
    registry: Registry[Any], base: type, name: str, found: Any, said: str
) -> None:
    cls = type("Own", (base,), {name: found})
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        registry.register("of_another_form", base)(cls)
    assert str(caught.value).startswith(f"`Own.{name}` must ")
    assert "of_another_form" not in registry.names()


@pytest.mark.parametrize(
    ("registry", "base", "own"),
    [
        (gates, Gate, {"forward": lambda self, x, more=None: x}),
        (gates, Gate, {"__init__": lambda self, in_features, num_experts, *, k: None}),
        (
            tasks,
            Task,
            {"said": property(a_method), "fixed_split": functools.cached_property(short)},
        ),
        (tasks, Task, {"network": functools.partialmethod(lambda self, width: None, 3)}),
        (
            tasks,
            Task,
            {"split": lambda *args, **options: None, "__init__": lambda self, rows: None},
        ),
        (metrics, Metric, {"compute": lambda self, outputs, target, weights=None: None}),
        (learners, Learner, {"facts": staticmethod(dict)}),
    ],
    ids=lambda it: ", ".join(it) if isinstance(it, dict) else "",
)
def test_one_that_can_be_used_as_its_base_is(
    registry: Registry[Any], base: type, own: dict[str, Any]
) -> None:
    cls = type("Own", (base,), own)
    try:
        assert registry.register("of_its_form", base)(cls) is cls
    finally:
        registry._classes.pop("of_its_form", None)


MINE = '''
from gatelab import register_gate
from gatelab.gates import SoftmaxGate


@register_gate("called")
class Called(SoftmaxGate):
    """Has a method for a value."""

    def expected_failed_checks(self):
        return {}
'''


@pytest.mark.parametrize(
    "command",
    [("validate", "c.yaml"), ("check", "gate", "mine:called"), ("show", "gate", "mine:called")],
)
def test_every_command_says_it_in_a_line(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "c.yaml").write_text("name: c\ntask: digits_pairs\ngates: ['mine:called']\n")
    (line,) = in_process.gatelab(tmp_path, *command, code=2).splitlines()
    place = f"({tmp_path}/mine.py, line 10)"
    assert "`Called.expected_failed_checks` must be a value of the class, but is a " in line
    assert place in line
