"""What is said of a `union_weight` that cannot lower the union, and that nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.union_remarks import told_unions
from tests.bad_specs import run, spec

SEVERAL = "{name: synthetic_groups, num_targets: 3, train_rows: 16, val_rows: 8, test_rows: 8}"
ONE = "{name: brain_encoding, words: 60, voxels: 8, regions: 2}"
IDLE = "`union_weight` changes nothing where k is 1: the one weight of a row is always 1."
DENSE = "`union_weight` saves no expert: softmax gives each some weight, so that all run."
ALONE = (
    "`union_weight` is what experts cost that any target uses, but there is one target: of weights "
    "that sum to one it is a constant."
)


def told(gate: str, task: str = SEVERAL) -> list[str]:
    made = parse_spec(yaml.safe_load(spec(task=task, gates=f"{{mine: {gate}}}")))
    return told_unions(made, make_task(made))


@pytest.mark.parametrize(
    ("gate", "remark"),
    [
        ("{gate: top_k, k: 1, union_weight: 0.1}", IDLE),
        ("{gate: top_k, k: 1, static: true, union_weight: 0.1, balance_weight: 0.1}", IDLE),
        ("{gate: top_k, k: [1, 2], union_weight: 0.1}", IDLE),
        ("{gate: noisy_top_k, k: 1, union_weight: 0.1}", IDLE),
        ("{gate: bias_balanced_top_k, k: 1, union_weight: 0.1}", IDLE),
        ("{gate: softmax, union_weight: 0.1}", DENSE),
        ("{gate: softmax, balance_weight: 0.1, union_weight: {low: 0.0, high: 1.0}}", DENSE),
    ],
)
def test_what_can_save_nothing_is_said(gate: str, remark: str) -> None:
    assert told(gate) == [f"gate 'mine': {remark}"]


@pytest.mark.parametrize(
    "gate",
    [
        "{gate: top_k, k: 2, union_weight: 0.1}",
        "{gate: top_k, k: 1}",
        "{gate: top_k, k: 1, union_weight: 0}",
        "{gate: softmax, union_weight: 0}",
        "{gate: dselect_k, k: 1, union_weight: 0.1}",
        "{gate: comet, k: 1, union_weight: 0.1}",
        "{gate: relu, union_weight: 0.1}",
        "{gate: sparsemax, union_weight: 0.1}",
        "{gate: cgc, union_weight: 0.1}",
        "{gate: random_k, k: 2, union_weight: 0.1}",
    ],
)
def test_of_others_nothing_is(gate: str) -> None:
    assert told(gate) == []


@pytest.mark.parametrize("gate", ["softmax", "top_k", "relu"])
def test_one_target_has_no_union(gate: str) -> None:
    assert told(f"{{gate: {gate}, union_weight: [0, 0.1]}}", ONE) == [f"gate 'mine': {ALONE}"]


def test_one_target_that_pays_nothing_is_not_spoken_of() -> None:
    assert told("{gate: softmax, union_weight: 0}", ONE) == told("{gate: top_k}", ONE) == []


def test_validate_says_it(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(spec(task=SEVERAL, gates="{mine: {gate: softmax, union_weight: 0.1}}"))
    code, text = run("validate", str(path))
    assert code == 0
    assert f"warning: {path}: gate 'mine': {DENSE}" in text
