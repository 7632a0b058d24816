"""What `launch` takes as a spec: a path, a mapping with classes in it, a spec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatelab.gates.gate import gates
from gatelab.gates.softmax import SoftmaxGate
from gatelab.sweeps.spec.given import spec_of
from gatelab.sweeps.spec.reading import load_spec
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tasks import SyntheticGroups
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import tasks
from tests import broken_gates

SMALL = {"num_targets": 2, "train_rows": 64, "val_rows": 32, "test_rows": 32}
CONTENT: dict[str, Any] = {"name": "one", "task": "digits_pairs", "gates": ["softmax"]}


class Mine(SoftmaxGate):
    """A gate that nobody registers."""


class Ours(SyntheticGroups):
    """A task that nobody registers."""


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    registries: Any = (gates, tasks, metrics)
    before = [(dict(one._classes), set(one.handed)) for one in registries]
    yield
    for one, (classes, handed) in zip(registries, before, strict=True):
        one._classes, one.handed = classes, handed


def test_a_path_a_mapping_and_a_spec_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("{name: one, task: digits_pairs, gates: [softmax]}\n")
    spec = load_spec(path)
    assert spec_of(path) == spec_of(str(path)) == spec_of(CONTENT) == spec_of(spec) == spec


@pytest.mark.parametrize(
    ("listed", "labels"),
    [
        ([Mine, "softmax"], ["Mine", "softmax"]),
        ({"mine": Mine, "other": {"gate": Mine}, "softmax": None}, ["mine", "other", "softmax"]),
    ],
)
def test_a_class_stands_for_its_key(listed: Any, labels: list[str]) -> None:
    spec = spec_of({**CONTENT, "gates": listed, "task": {"name": Ours, **SMALL}})
    assert list(spec.gates) == labels
    assert spec.gates[labels[0]].gate == f"{__name__}:Mine"
    assert (spec.task.name, spec.task.options) == (f"{__name__}:Ours", SMALL)
    assert gates.get(spec.gates[labels[0]].gate) is Mine
    assert (gates.handed, tasks.handed) == ({"Mine"}, {"Ours"})


def test_a_class_of_ours_or_a_registered_one_has_its_name() -> None:
    spec = spec_of({**CONTENT, "gates": [SoftmaxGate], "task": {"name": SyntheticGroups, **SMALL}})
    assert (spec.gates["softmax"].gate, spec.task.name) == ("softmax", "synthetic_groups")
    assert gates.handed == set()


def test_a_class_that_is_defined_again_takes_the_place_of_the_first() -> None:
    again = type("Mine", (Mine,), {"__module__": __name__, "__qualname__": "Mine"})
    for cls in (Mine, again):
        assert gates.get(spec_of({**CONTENT, "gates": [cls]}).gates["Mine"].gate) is cls


ROWS = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**CONTENT, "gates": [SyntheticGroups]}, "spec: gates: A gate must be a subclass of Gate"),
        ({**CONTENT, "task": Mine}, "spec: task: A task must be a subclass of Task"),
        ({**CONTENT, "gates": {"a": {"gate": int}}}, "spec: gates.a: A gate must be a subclass"),
        ({**CONTENT, "gates": ["softmaxx"]}, "did you mean 'softmax'"),
        *(
            ({**CONTENT, "task": task}, "spec: task: a frame is given as `gatelab.tasks.Table(")
            for task in (ROWS, {"name": ROWS}, {"name": "table", "path": ROWS})
        ),
        (7, "spec: must be a path, a mapping or a Spec, but got 7."),
        ({}, "spec: name: is required, but missing."),
    ],
)
def test_what_cannot_be_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(given)
    assert said in str(caught.value)


def test_two_classes_of_one_name_are_refused() -> None:
    class Sound(broken_gates.Sound):
        """Another."""

    with pytest.raises(SpecError, match="gate 'Sound' is registered twice"):
        spec_of({**CONTENT, "gates": {"a": Sound, "b": broken_gates.Sound}})


def test_what_a_notebook_defined_is_said_so_elsewhere() -> None:
    with pytest.raises(SpecError, match="gate 'mine' was defined in a notebook or a script"):
        spec_of({**CONTENT, "gates": ["__main__:mine"]})
