"""A whole sweep with baselines, repeats, splits and rows at one k, as its record has it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gatelab.sweeps.spec.baselines import with_baselines
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER
from tests.in_process import gatelab
from tests.launched import read
from tests.shared import once

SPEC = """
name: whole
task:
  name: synthetic_groups
  num_targets: 4
  train_rows: 128
  val_rows: 64
  test_rows: 64
  split_seed: 3
model: {num_experts: 4, expert_width: 8}
gates: {top_k: {k: [1, 2]}, softmax: }
training: {max_epochs: 3, batch_size: 64}
search: {trials: 4, repeats: 2, early_stopping: {grace_epochs: 1}}
evaluation: {seeds: 2, splits: 3}
"""
LABELS = ["top_k", "softmax", "single", "random_k", "constant", "oracle"]


@pytest.fixture(scope="module")
def record(
    put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> SweepRecord:
    def make(folder: Path) -> None:
        put_store(folder / FOLDER)
        (folder / "whole.yaml").write_text(SPEC)
        (folder / "said").write_text(gatelab(folder, "launch", "whole.yaml"))

    return read(once(tmp_path_factory, "whole-sweep", make), "whole")


@pytest.mark.slow
def test_status_counts_the_trials_of_all_searches(
    record: SweepRecord, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = once(tmp_path_factory, "whole-sweep", lambda _: None)
    said = gatelab(folder, "status")
    assert "top_k 8/8, evaluated" in said and "constant, evaluated" in said


def names(**changed: object) -> list[str]:
    given = {"name": "n", "task": "synthetic_groups", "gates": ["top_k"], **changed}
    spec = parse_spec(given)
    return list(with_baselines(spec, make_task(spec)).gates)


def test_what_belongs_to_every_comparison() -> None:
    assert names() == ["top_k", "single", "random_k", "constant", "oracle"]
    assert names(baselines=False) == ["top_k"]
    assert names(task="digits_pairs") == ["top_k", "single", "random_k", "constant"], "no truth"
    few = {"model": {"num_experts": 2}, "gates": ["softmax"]}
    assert names(**few) == ["softmax", "single", "random_k", "constant"], "four are planted"


def test_what_a_spec_names_itself_is_not_added() -> None:
    mine = {"mine": {"gate": "random_k", "k": 3}, "single": {"gate": "softmax"}}
    found = names(gates=mine)
    assert found == ["mine", "single", "single.baseline", "constant", "oracle"]


@pytest.mark.parametrize(
    ("gates", "k"),
    [
        ({"top_k": {"k": 4}}, 4),
        ({"top_k": {"k": 4}, "softmax": None}, 4),
        ({"softmax": None}, None),
    ],
)
def test_random_k_has_the_k_of_the_gates(gates: dict[str, object], k: int | None) -> None:
    spec = parse_spec({"name": "n", "task": "synthetic_groups", "gates": gates})
    found = with_baselines(spec, make_task(spec)).gates["random_k"].hyperparameters
    assert found == ({} if k is None else {"k": k})


def test_where_gates_differ_in_k_it_has_its_own() -> None:
    gates = {"one": {"gate": "top_k", "k": 1}, "four": {"gate": "top_k", "k": 4}}
    spec = parse_spec({"name": "n", "task": "synthetic_groups", "gates": gates})
    assert with_baselines(spec, make_task(spec)).gates["random_k"].hyperparameters == {}


def test_added_twice_they_are_there_once() -> None:
    spec = parse_spec({"name": "n", "task": "synthetic_groups", "gates": ["top_k"]})
    task = make_task(spec)
    once_more = with_baselines(with_baselines(spec, task), task)
    assert once_more == with_baselines(spec, task)


@pytest.mark.slow
def test_every_gate_is_searched_twice_and_evaluated_on_three_splits(record: SweepRecord) -> None:
    assert record.planned == LABELS
    trials = Counter((run.gate, run.tags["repeat"]) for run in record.of("search"))
    searched = [label for label in LABELS if label != "constant"]
    assert trials == {(label, repeat): 4 for label in searched for repeat in "01"}
    rows = [*LABELS, "top_k.k1", "top_k.k2"]
    evaluated = Counter(
        (run.gate, run.tags["repeat"], run.tags["split_seed"]) for run in record.of("evaluate")
    )
    every = {(row, repeat, split) for row in rows for repeat in "01" for split in "345"}
    assert evaluated == dict.fromkeys(every, 2)
    assert all(run.end == "finished" for run in record.of("evaluate"))
    shares = {run.tags["test_to_train"] for run in record.of("evaluate")}
    assert shares == {"0.0"}, "this task draws anew"


@pytest.mark.slow
def test_the_runs_of_gates_say_what_they_are(record: SweepRecord) -> None:
    found = {run.gate: run.tags for run in record.of("gate")}
    roles = {label: tags["role"] for label, tags in found.items()}
    assert roles == {
        **dict.fromkeys(["top_k", "softmax", "top_k.k1", "top_k.k2"], "gate"),
        **dict.fromkeys(["single", "random_k", "constant"], "baseline"),
        "oracle": "ceiling",
    }
    rows = {label: tags.get("row_of") for label, tags in found.items() if "row_of" in tags}
    assert rows == {"top_k.k1": "top_k", "top_k.k2": "top_k"}
    assert {run.gate: run.end for run in record.of("gate")} == dict.fromkeys(found, "finished")


@pytest.mark.slow
def test_a_gates_run_has_the_means_over_all_that_was_evaluated(record: SweepRecord) -> None:
    for run in record.of("gate"):
        losses = [seed.metrics["test/loss"] for seed in record.of("evaluate", run.gate)]
        assert len(losses) == 12
        assert run.metrics["test/loss"] == pytest.approx(statistics.mean(losses))
        assert run.metrics["std/test/loss"] == pytest.approx(statistics.stdev(losses), abs=1e-12)


@pytest.mark.slow
def test_a_row_has_the_k_and_the_trials_that_it_is_named_by(record: SweepRecord) -> None:
    gates = {run.gate: run for run in record.of("gate")}
    ends = ("finished", "pruned", "failed")
    for k in ("1", "2"):
        row = gates[f"top_k.k{k}"]
        trials = [t for t in record.of("search", "top_k") if t.params["gate.k"] == k]
        assert row.params["gate.k"] == k
        assert {e: row.metrics[f"search/{e}"] for e in ends} == {
            e: sum(t.end == e for t in trials) for e in ends
        }
        assert {run.params["gate.k"] for run in record.of("evaluate", row.gate)} == {k}


@pytest.mark.slow
def test_the_constant_is_the_same_for_every_seed_of_a_split(record: SweepRecord) -> None:
    losses: dict[str, set[float]] = {}
    for run in record.of("evaluate", "constant"):
        losses.setdefault(run.tags["split_seed"], set()).add(run.metrics["test/loss"])
        assert not any(name.startswith("gate/") for name in run.metrics)
    assert {split: len(found) for split, found in losses.items()} == {"3": 1, "4": 1, "5": 1}
    assert len(set.union(*losses.values())) == 3, "each split has other rows"
