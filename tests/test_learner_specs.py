"""Specs that name a learner: what they mean, and one line for each that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution

from gatelab.sweeps.spec.given import spec_of
from gatelab.sweeps.spec.reading import load_spec, parse_spec
from gatelab.sweeps.spec.remarks import told_learners
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks import SyntheticGroups
from gatelab.training.learners import Learner, learners
from tests import in_process
from tests.bad_specs import run, spec

TASK = SyntheticGroups(num_targets=2, train_rows=16, val_rows=8, test_rows=8)
SMALL = "{name: synthetic_groups, num_targets: 2, train_rows: 16, val_rows: 8, test_rows: 8}"


def of_learner(said: str) -> str:
    return spec(task=SMALL, gates=f"{{one: {{gate: softmax, learner: {said}}}}}")


def read(said: str) -> Spec:
    return parse_spec(yaml.safe_load(of_learner(said)))


CASES: list[tuple[str, tuple[str, ...]]] = [
    ("gosip", ("gates.one.learner", "unknown learner 'gosip'", "'gossip'")),
    ("[gossip]", ("gates.one.learner", "a name, or a mapping", "['gossip']")),
    ("{name: 3}", ("gates.one.learner", "a name, or a mapping")),
    ("{name: gossip, grpah: ring}", ("gates.one.learner", "unknown key 'grpah'", "'graph'")),
    ("{name: joint, graph: ring}", ("gates.one.learner", "unknown key 'graph' of joint; valid: ")),
    ("{name: gossip, graph: rnig}", ("gates.one.learner.graph", "'rnig'", "'ring'")),
    ("{name: gossip, graph: [ring, rnig]}", ("gates.one.learner.graph", "'rnig'", "'ring'")),
    (
        '{name: gossip, graph: "0.5 0.5; 0.4 0.6"}',
        ("gates.one.learner.graph", "doubly stochastic", "column"),
    ),
    (
        '{name: gossip, graph: "0.5 0.4; 0.5 0.6"}',
        ("gates.one.learner.graph", "doubly stochastic", "row"),
    ),
    (
        '{name: gossip, graph: "1.5 -0.5; -0.5 1.5"}',
        ("gates.one.learner.graph", "without negative numbers"),
    ),
    (
        '{name: gossip, graph: "1 0 0; 0 1 0; 0 0 1"}',
        ("gates.one.learner.graph", "each of 2 targets", "3 rows of 3"),
    ),
    ("{name: gossip, graph: 3}", ("gates.one.learner.graph", "a text", "3")),
    ("{name: gossip, rows: onw}", ("gates.one.learner.rows", "'onw'", "'own'")),
    (
        "{name: gossip, correlation: 1}",
        ("gates.one.learner.correlation", "0 <= correlation < 1", "correlation=1"),
    ),
    ("{name: gossip, correlation: -0.1}", ("0 <= correlation < 1", "correlation=-0.1")),
    (
        "{name: gossip, correlation: {low: 0.5, high: 1.5}}",
        ("gates.one.learner.correlation", "correlation=1.5"),
    ),
    (
        "{name: mean_regularized, pull: [0.1, -1]}",
        ("gates.one.learner.pull", "0 <= pull < inf", "pull=-1.0"),
    ),
    ("{name: mean_regularized, rows: shraed}", ("gates.one.learner.rows", "'shared'")),
    ("{name: anil, inner_steps: -1}", ("learner.inner_steps", "inner_steps >= 0", "=-1")),
    ("{name: anil, inner_rate: 0}", ("learner.inner_rate", "0 < inner_rate < inf", "=0")),
    ("{name: anil, shots: 0}", ("gates.one.learner.shots", "shots >= 1", "shots=0")),
    (
        "{name: anil, held_out: 2}",
        ("gates.one.learner.held_out", "0 <= held_out < targets", "held_out=2, targets=2"),
    ),
    ("{name: anil, held_out: -1}", ("0 <= held_out < targets", "held_out=-1")),
    ("{name: anil, adapts: heads}", ("gates.one.learner.adapts", "'heads'", "'head'")),
    ("{name: anil, start: comon}", ("gates.one.learner.start", "'comon'", "'common'")),
    ("{name: gossip, correlation: high}", ("gates.one.learner.correlation", "'high'")),
]


@pytest.mark.parametrize(("said", "words"), CASES, ids=[said for said, _ in CASES])
def test_a_bad_learner_is_one_line(said: str, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(of_learner(said))
    code, text = run("launch", str(path), "--folder", str(tmp_path / "runs"))
    assert (code, text.count("\n")) == (2, 1), text
    assert all(word in text for word in words), text
    assert [each.name for each in tmp_path.iterdir()] == ["bad.yaml"]


def test_more_shots_than_rows_are_one_line(tmp_path: Path) -> None:
    """Of the option, also where it is searched and small enough at first; nothing is started."""
    path = tmp_path / "bad.yaml"
    for said, command in (("17", "launch"), ("[8, 17]", "validate")):
        path.write_text(of_learner(f"{{name: anil, shots: {said}}}"))
        code, text = run(command, str(path))
        assert (code, text) == (
            2,
            f"gatelab: {path}: gates.one.learner.shots: `shots <= train rows` must hold, but got "
            "(shots=17, train rows=16).\n",
        )


def test_what_is_not_trained_has_no_learner(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(spec(gates="{softmax: , constant: {learner: gossip}}"))
    code, text = run("launch", str(path))
    assert (code, text.count("\n")) == (2, 1)
    assert "gates.constant.learner" in text and "not trained" in text


def test_options_are_searched_as_hyperparameters_are() -> None:
    said = "{name: gossip, graph: [ring, none], correlation: {low: 0, high: 0.9}}"
    found = space(read(said), "one", TASK)
    assert found.fixed["learner"] == "gossip" and found.fixed["learner.rows"] == "own"
    own = {
        name: value for name, value in found.distributions.items() if name.startswith("learner.")
    }
    assert own == {
        "learner.graph": CategoricalDistribution(("ring", "none")),
        "learner.correlation": FloatDistribution(0.0, 0.9),
    }


@pytest.mark.parametrize("said", ["joint", "gossip", "{name: gossip, graph: ring}"])
def test_a_spec_is_written_as_it_is_read(said: str) -> None:
    found = read(said)
    assert parse_spec(yaml.safe_load(found.to_yaml())) == found
    assert ("learner" in found.to_yaml()) == (said != "joint")


def test_of_the_default_nothing_is_said() -> None:
    """As before there were learners: not even where it is named."""
    unnamed = spec(task=SMALL, gates="{one: {gate: softmax}}")
    plain = space(parse_spec(yaml.safe_load(unnamed)), "one", TASK)
    assert space(read("joint"), "one", TASK) == plain
    assert not any(name.startswith("learner") for name in (*plain.fixed, *plain.distributions))


def test_a_graph_that_is_not_connected_is_said() -> None:
    said = [told_learners(read(one), TASK) for one in ("{name: gossip, graph: none}", "gossip")]
    assert said[1] == []
    (line,) = said[0]
    assert line == (
        "gate 'one': `graph: none` is not connected: agents of different parts never hear of each "
        "other."
    )
    (swapping,) = told_learners(read('{name: gossip, graph: "0 1; 1 0"}'), TASK)
    assert "a second singular value of 1" in swapping
    (one_of_two,) = told_learners(read("{name: gossip, graph: [ring, none]}"), TASK)
    assert one_of_two == line


@pytest.mark.parametrize(
    "steps", ["5", "[1, 5]", "{low: 1, high: 5}"], ids=["fixed", "one of two", "a range"]
)
def test_a_round_that_no_training_ends_is_said(steps: str) -> None:
    """Of 16 rows by 256 an epoch is one step, and there are four."""
    (line,) = told_learners(read(f"{{name: mean_regularized, local_steps: {steps}}}"), TASK)
    assert line == (
        "gate 'one': `local_steps <= steps of a training` must hold for a round to end, but got "
        "(local_steps=5, steps=4): nothing is published, and each target is pulled to its start."
    )
    assert told_learners(read("{name: mean_regularized, local_steps: 4}"), TASK) == []


def test_an_option_is_overridden(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(of_learner("gossip"))
    found = load_spec(path, overrides=["gates.one.learner.graph=ring"])
    assert found.gates["one"].learner.hyperparameters == {"graph": "ring"}


def test_a_class_is_a_learner_too() -> None:
    class Mine(Learner):
        """Mine."""

    given: dict[str, Any] = {"gate": "softmax", "learner": Mine}
    try:
        found = spec_of({"name": "own", "task": "digits_pairs", "gates": {"one": given}})
        assert found.gates["one"].learner.cls is Mine
    finally:
        learners._classes.pop("Mine", None)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["one thing", "another.", "one thing"], ["one thing", "another"]),
        ("one thing,\nand another", ["one thing, and another"]),
        (
            RuntimeError("no idea"),
            ["what its learner remarks cannot be had: RuntimeError: no idea"],
        ),
    ],
    ids=["lines", "a text", "an error"],
)
def test_what_a_learner_of_one_s_own_remarks_is_told(found: Any, said: list[str]) -> None:
    """It has no options, and is asked once."""

    class Mine(Learner):
        """Remarks on itself."""

        @classmethod
        def remarks(cls, options: Mapping[str, Any], num_targets: int, steps: int) -> list[str]:
            assert (options, num_targets, steps) == ({}, len(TASK.targets), 4)
            if isinstance(found, Exception):
                raise found
            return found  # type: ignore[no-any-return]

    given: dict[str, Any] = {"gate": "softmax", "learner": Mine}
    plain = {
        "name": "own",
        "task": "digits_pairs",
        "gates": {"one": given},
        "training": {"max_epochs": 4},
    }
    try:
        told = told_learners(spec_of(plain), TASK)
    finally:
        learners._classes.pop("Mine", None)
    starts = [f"gate 'one': {line}" for line in said]
    assert len(told) == len(said)
    assert all(line.startswith(start) for line, start in zip(told, starts, strict=True)), told


def test_validate_says_it_too(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(of_learner("{name: gossip, graph: none}"))
    code, text = run("validate", str(path))
    assert code == 0
    assert "warning" in text and "gate 'one': `graph: none` is not connected" in text


MINE = """
from gatelab import Learner, register_gate, register_learner
from gatelab.gates import SoftmaxGate


@register_learner("Raising")
class Raising(Learner):
    \"\"\"Raises in each step.\"\"\"

    def objective(self, loss, tensors, taught):
        raise RuntimeError("no loss")


@register_learner("Doubting")
class Doubting(Learner):
    \"\"\"Cannot say what it fits.\"\"\"

    @classmethod
    def misfit(cls, network, targets, gate):
        raise RuntimeError("no idea")


@register_gate("Broken")
class Broken(SoftmaxGate):
    \"\"\"Raises by itself.\"\"\"

    def forward(self, x):
        raise RuntimeError("no gate")
"""


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (
            "{one: {gate: softmax, learner: 'mine:Raising'}}",
            ["one.learner: nothing can be trained by it: RuntimeError: no loss (PLACE, line 11)"],
        ),
        (
            "{one: {gate: softmax, learner: 'mine:Raising'}, two: {gate: 'mine:Broken'}}",
            [
                "one.learner: nothing can be trained by it: RuntimeError: no loss (PLACE, line 11)",
                "two: cannot be trained: RuntimeError: no gate (PLACE, line 28)",
            ],
        ),
        (
            "{one: {gate: softmax, learner: 'mine:Doubting'}}",
            ["one.learner: RuntimeError: no idea (PLACE, line 20)"],
        ),
    ],
    ids=["raising", "beside a gate", "doubting"],
)
def test_a_learner_of_one_s_own_that_raises_is_told_as_the_learner(
    place: Path, gates: str, said: list[str]
) -> None:
    (place / "mine.py").write_text(MINE)
    (place / "c.yaml").write_text(spec(task=SMALL, gates=gates) + "\nbaselines: false\n")
    output = in_process.gatelab(place, "validate", "c.yaml", code=2)
    lines = (line.replace("PLACE", str(place / "mine.py")) for line in said)
    assert output.splitlines() == [f"gatelab: c.yaml: gates.{line}" for line in lines]
