"""The comparison: from a record's runs to scores, tests, budgets, a table and sentences."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from tracking.comparison import Comparison, compare_runs, lower_is_better
from tracking.figures import comparison_plot, save, weights_heatmap
from tracking.mlflow_store import RunRecord, SweepRecord
from tracking.report import markdown, sentences, shown_metrics, table

LOSSES = {
    "a": [0.10, 0.12, 0.11, 0.09],
    "b": [0.20, 0.23, 0.22, 0.18],
    "c": [0.21, 0.20, 0.24, 0.19],
}


def run(stage: str, gate: str = "", end: str = "finished", **what: object) -> RunRecord:
    tags = {"stage": stage, "gate": gate, "end": end, "task": "t"}
    tags |= {key.replace("_", "."): str(value) for key, value in what.items() if key != "metrics"}
    metrics = what.get("metrics", {})
    assert isinstance(metrics, dict)
    return RunRecord("id", "name", "FINISHED", {}, metrics, tags)


def record(losses: dict[str, list[float]]) -> SweepRecord:
    runs = [run("sweep", gates=",".join([*losses, "dead"]))]
    for gate, values in losses.items():
        runs += [run("gate", gate), run("search", gate), run("search", gate, "pruned")]
        for seed, loss in enumerate(values):
            accuracy = {"test/mean/accuracy": 1 - loss, "gate/entropy": loss, "val/loss": 1.0}
            runs.append(run("evaluate", gate, seed=seed, metrics={"test/loss": loss, **accuracy}))
    runs.append(run("gate", "dead", "failed", end_reason="no trial finished: boom"))
    runs += [run("search", "dead", "failed", end_reason="boom")] * 2
    runs.append(run("evaluate", "a", "failed", seed=77, metrics={"test/loss": 1e9}))
    return SweepRecord("s", tuple(runs))


@pytest.fixture
def comparison() -> Comparison:
    return compare_runs(record(LOSSES))


def render(comparison: Comparison, width: int = 100) -> str:
    console = Console(width=width, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table(comparison))
    return console.export_text()


def test_scores_are_means_over_finished_seeds(comparison: Comparison) -> None:
    score = comparison.score("a", "test/loss")
    assert score is not None
    assert (score.n, score.mean) == (4, pytest.approx(0.105))
    assert comparison.score("a", "val/loss") is None


def test_tests_are_paired_and_corrected(comparison: Comparison) -> None:
    found = {(t.first, t.second): t for t in comparison.tests if t.metric == "test/loss"}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert list(found) == pairs
    plain = [stats.ttest_rel(LOSSES[x], LOSSES[y]).pvalue for x, y in pairs]
    assert [found[pair].p for pair in pairs] == pytest.approx(plain)
    assert found["a", "b"].p_holm >= found["a", "b"].p
    assert found["a", "b"].significant
    assert not found["b", "c"].significant


def test_pairs_are_by_seed_not_by_order() -> None:
    runs = list(record(LOSSES).runs)
    shuffled = compare_runs(SweepRecord("s", tuple(reversed(runs))))
    straight = compare_runs(SweepRecord("s", tuple(runs)))
    p = [next(t.p for t in c.tests if t.metric == "test/loss") for c in (straight, shuffled)]
    assert p[0] == pytest.approx(p[1])


def test_directions(comparison: Comparison) -> None:
    assert comparison.best("test/loss") == comparison.best("test/mean/accuracy") == "a"
    assert comparison.best("gate/entropy") is None
    assert lower_is_better("test/t/rmse")
    assert not lower_is_better("test/t/r2")


def test_a_gate_without_a_finished_trial_is_named(comparison: Comparison) -> None:
    budget = {b.gate: b for b in comparison.budgets}["dead"]
    assert (budget.trials, budget.failed, budget.evaluated) == (2, 2, 0)
    assert budget.reasons == {"boom": 2}
    assert sentences(comparison)[0] == "dead has no score: no trial finished: boom."
    assert "0/0/2" in render(comparison)


def test_table_and_sentences(comparison: Comparison) -> None:
    text = render(comparison)
    assert "0.105 ± 0.021*" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "**0.105 ± 0.021***" in markdown(comparison)
    said = " ".join(sentences(comparison))
    assert (
        "a has the lowest test loss, 0.105 (95% interval 0.08446 to 0.1255), over 4 seeds." in said
    )
    assert "Its difference from b is significant (p < 0.001 after Holm's correction)." in said


def test_one_seed_has_no_interval_and_no_test() -> None:
    comparison = compare_runs(record({"a": [0.1], "b": [0.2]}))
    assert "cannot be tested with 1 seed" in " ".join(sentences(comparison))
    assert "±" not in render(comparison).partition("mean ±")[0]


def test_nothing_to_compare() -> None:
    comparison = compare_runs(SweepRecord("s", (run("sweep"), run("gate", "a", ""))))
    assert sentences(comparison) == [
        "a has no score: not evaluated yet.",
        "There is nothing to compare yet.",
    ]
    assert comparison.to_frame().empty
    render(comparison)


def test_foreign_runs_without_our_tags() -> None:
    foreign = RunRecord("id", "n", "FINISHED", {}, {"test/loss": 1.0}, {"sweep": "s"})
    assert compare_runs(SweepRecord("s", (foreign,))).gates == ()


def test_many_targets_show_means_only() -> None:
    metrics = {f"test/t{i}/r2": 0.5 for i in range(20)} | {"test/loss": 1.0, "test/mean/r2": 0.5}
    runs = (run("evaluate", "a", seed=0, metrics=metrics),)
    comparison = compare_runs(SweepRecord("s", runs))
    assert shown_metrics(comparison) == ["test/loss", "test/mean/r2"]
    assert len(comparison.to_frame()) == 22


def test_many_gates_are_rows_with_the_best_first() -> None:
    rng = np.random.default_rng(0)
    losses = {f"gate{i}": list(0.5 - 0.05 * i + 0.01 * rng.standard_normal(5)) for i in range(8)}
    comparison = compare_runs(record(losses))
    lines = markdown(comparison).splitlines()
    assert lines[0].startswith("| gate | test loss |")
    named = [line.split("|")[1].strip() for line in lines[2:]]
    assert named[:8] == [f"gate{i}" for i in reversed(range(8))]
    assert "dead" in named[8:], "without a score last"
    assert lines[2].split("|")[2].strip().startswith("**0.1")
    assert all(len(line) <= 100 for line in render(comparison).splitlines())
    said = sentences(comparison)[-2:]
    assert any("significant from" in sentence and "gate0" in sentence for sentence in said)
    assert len(said[0]) + len(said[1]) < 300


def test_files(comparison: Comparison, tmp_path: Path) -> None:
    comparison.to_csv(tmp_path / "c.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "c.csv"), comparison.to_frame())
    comparison.to_json(tmp_path / "c.json")

    def refuse(text: str) -> float:
        raise ValueError(text)

    read = json.loads((tmp_path / "c.json").read_text(), parse_constant=refuse)
    assert len(read["scores"]) == len(comparison.scores)
    one = compare_runs(record({"a": [math.nan]}))
    one.to_json(tmp_path / "nan.json")
    json.loads((tmp_path / "nan.json").read_text(), parse_constant=refuse)


@pytest.mark.parametrize(("targets", "experts"), [(2, 4), (128, 16)])
def test_figures(targets: int, experts: int, comparison: Comparison, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(experts), targets)
    figure = weights_heatmap(weights, [f"t{i:03}" for i in range(targets)], "weights")
    save(figure, tmp_path / "heatmap.png")
    save(comparison_plot(comparison), tmp_path / "comparison.png")
    for name in ("heatmap.png", "comparison.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
