"""Targets: what can be none is refused where it is made, in one line with its name."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow.utils.validation import _validate_metric_name

from gatelab.rules import LONGEST_NAME
from gatelab.tasks import Target

NO_NAMES = (
    *(
        "income>50K",
        "../x",
        "a/b",
        "",
        " ",
        "a b",
        "a\n",
        ".a",
        "-a",
        ":",
        "..",
        "a,b",
        "cafe\u0301",
    ),
    *("a\u2215b", "\u202eab", "a\u00a0b", "x" * (LONGEST_NAME + 1), "x" * 10**6, None, 3, b"a"),
)


@pytest.mark.parametrize("name", NO_NAMES, ids=lambda name: repr(name)[:20])
def test_a_name_that_cannot_be_recorded(name: Any) -> None:
    with pytest.raises(ValueError, match="the name of a target must be 1 to 100 letters") as error:
        Target(name, "regression")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    "name", ["a", "\u00e9t\u00e9", "\u5e74\u9f62", "_a", "1", "a.b-c:d", "x" * 100]
)
def test_mlflow_takes_every_name_that_is_one(name: str) -> None:
    _validate_metric_name(f"std/test/{Target(name, 'binary').name}/{'y' * LONGEST_NAME}")


@pytest.mark.parametrize("name", ["mean", "Mean", "MEAN"])
def test_no_target_is_the_mean_over_targets(name: str) -> None:
    with pytest.raises(ValueError, match="no target is called 'mean'"):
        Target(name, "binary")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "clasification"}, "target 'a' has the unknown kind 'clasification'; valid: bi"),
        ({"kind": "Binary"}, "did you mean 'binary'?"),
        ({"kind": "multi_class"}, "did you mean 'multiclass'?"),
        ({"kind": None}, "target 'a' has the unknown kind None; valid: "),
        ({"kind": "multiclass"}, "multiclass, a whole number, but got .num_classes=None"),
        ({"kind": "multiclass", "num_classes": 1}, "num_classes=1"),
        ({"kind": "multiclass", "num_classes": True}, "num_classes=True"),
        ({"kind": "multiclass", "num_classes": 3.0}, "num_classes=3.0"),
        ({"kind": "binary", "num_classes": 2}, "only multiclass has `num_classes`, but binary"),
        *(
            ({"kind": "binary", "weight": weight}, "target 'a': `0 < weight < inf` must hold")
            for weight in (0, 0.0, -1, float("nan"), float("inf"), -float("inf"), "1", None)
        ),
    ],
)
def test_what_cannot_be_trained_on(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Target("a", **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "regression", "scale": 0.0}, "`0 < scale < inf`"),
        ({"kind": "regression", "scale": float("nan")}, "`0 < scale < inf`"),
        ({"kind": "regression", "offset": float("inf")}, "a finite offset"),
        ({"kind": "binary", "scale": 2.0}, "only regression has a unit"),
        ({"kind": "binary", "offset": 1.0}, "only regression has a unit"),
        ({"kind": "binary", "classes": ("no",)}, "has 2 classes to name"),
        ({"kind": "multiclass", "num_classes": 3, "classes": ("a", "b")}, "has 3 classes to name"),
        ({"kind": "regression", "classes": ("a", "b")}, "has 0 classes to name"),
    ],
)
def test_a_unit_or_classes_that_fit_no_target(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="target 'a'") as error:
        Target("a", **options)
    assert said in str(error.value)


def test_a_unit_is_no_part_of_what_a_target_is() -> None:
    """It is fitted to the train rows, which another split seed changes."""
    assert Target("a", "regression", scale=2.0, offset=1.0) == Target("a", "regression")
    assert Target("a", "binary", classes=("no", "yes")) != Target("a", "binary")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "regression", "class_weights": (1.0, 2.0)}, "only classes have weights, but reg"),
        ({"kind": "binary", "class_weights": (1.0,)}, "a tuple of 2 finite numbers above 0"),
        ({"kind": "binary", "class_weights": (1.0, 0)}, r"but got \(1.0, 0\)"),
        ({"kind": "binary", "class_weights": (1.0, -1)}, r"but got \(1.0, -1\)"),
        ({"kind": "binary", "class_weights": (1.0, float("nan"))}, "finite numbers above 0"),
        ({"kind": "binary", "class_weights": (1.0, float("inf"))}, "finite numbers above 0"),
        ({"kind": "binary", "class_weights": [1.0, 2.0]}, "must be a tuple of 2"),
        ({"kind": "binary", "class_weights": "balanced"}, "but got 'balanced'"),
        (
            {"kind": "multiclass", "num_classes": 3, "class_weights": (1.0, 2.0)},
            "target 'a': `class_weights` must be a tuple of 3 finite numbers above 0",
        ),
    ],
)
def test_weights_of_classes_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        Target("a", **options)
    assert "\n" not in str(error.value)


def test_classes_may_weigh_anything_above_0() -> None:
    assert Target("a", "binary", class_weights=(1e-9, 3)).class_weights == (1e-9, 3)
    assert Target("a", "multiclass", 3, class_weights=(1, 2.5, 1)).class_weights == (1, 2.5, 1)
