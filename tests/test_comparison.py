"""The comparison: from records' runs to scores, tests, budgets, tables and sentences."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.caveats import differing, notes, origins, partial_line
from gatelab.results.comparison.inference import pairwise, smallest_difference
from gatelab.results.comparison.merging import by_task
from gatelab.results.comparison.score_grids import pair_grid, score_grid, shown_metrics
from gatelab.results.comparison.statistics import holm, smallest_effect
from gatelab.results.comparison.tables import Grid, markdown, p_value, rich_table
from gatelab.results.comparison.verdict import sentences
from gatelab.results.report.page import _meanings
from gatelab.results.report.page_grids import predictive_grids
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Directions, Tags

LOSSES = {
    "a": [0.10, 0.12, 0.11, 0.09],
    "b": [0.20, 0.23, 0.22, 0.18],
    "c": [0.21, 0.20, 0.24, 0.19],
}


def run(
    stage: str,
    gate: str = "",
    end: str = "finished",
    metrics: dict[str, float] | None = None,
    params: dict[str, str] | None = None,
    **tags: object,
) -> RunRecord:
    named = {key.replace("_", "."): str(value) for key, value in tags.items()}
    found = {"stage": stage, "gate": gate, "end": end, "task": "t", **named}
    return RunRecord("id", "name", "FINISHED", params or {}, metrics or {}, found)


def record(losses: dict[str, list[float]], name: str = "s", **tags: object) -> SweepRecord:
    """Return a sweep with these losses, and a gate that is dead."""
    tags = {"metrics_higher": "accuracy", **tags}
    runs = [run("sweep", gates=",".join([*losses, "dead"]), **tags)]
    for gate, values in losses.items():
        runs += [run("gate", gate), run("search", gate), run("search", gate, "pruned")]
        for seed, loss in enumerate(values):
            metrics = {"test/loss": loss, "test/mean/accuracy": 1 - loss, "val/loss": 1.0}
            metrics["gate/entropy"] = loss
            runs.append(run("evaluate", gate, seed=seed, metrics=metrics))
    runs.append(run("gate", "dead", "failed", end_reason="no trial finished: boom"))
    runs += [run("search", "dead", "failed", end_reason="boom")] * 2
    return SweepRecord(name, tuple(runs))


def evaluated(losses: dict[str, dict[int, float]], name: str = "s") -> SweepRecord:
    """Return a sweep with these losses by gate and seed, and nothing else."""
    runs = [run("sweep", gates=",".join(losses))]
    for gate, values in losses.items():
        runs += [run("gate", gate)]
        runs += [
            run("evaluate", gate, seed=seed, metrics={"test/loss": loss})
            for seed, loss in values.items()
        ]
    return SweepRecord(name, tuple(runs))


@pytest.fixture
def comparison() -> Comparison:
    return compare_runs(record(LOSSES))


def render(grid: Grid, width: int = 100) -> str:
    with open(os.devnull, "w") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(rich_table(grid))
        return console.export_text()


def said(comparison: Comparison, metric: str = "test/loss") -> str:
    return "\n".join(sentences(comparison, metric))


def test_scores_are_means_over_finished_seeds(comparison: Comparison) -> None:
    failed = run("evaluate", "a", "failed", seed=77, metrics={"test/loss": 1e9})
    with_failure = SweepRecord("s", (*record(LOSSES).runs, failed))
    for found in (comparison, compare_runs(with_failure)):
        score = found.score("a", "test/loss")
        assert score is not None
        assert (score.n, score.mean) == (4, pytest.approx(0.105))
        assert score.values == {"0": 0.10, "1": 0.12, "2": 0.11, "3": 0.09}
        assert found.score("a", "val/loss") is None


def test_tests_are_paired_and_corrected(comparison: Comparison) -> None:
    found = {(t.first, t.second): t for t in comparison.tests if t.metric == "test/loss"}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert list(found) == pairs
    plain = [stats.ttest_rel(LOSSES[x], LOSSES[y]).pvalue for x, y in pairs]
    assert [found[pair].p for pair in pairs] == pytest.approx(plain)
    assert [found[pair].p_holm for pair in pairs] == pytest.approx(holm(plain))
    assert found["a", "b"].significant
    assert not found["b", "c"].significant


def test_pairs_are_by_seed_not_by_order() -> None:
    runs = list(record(LOSSES).runs)
    shuffled = compare_runs(SweepRecord("s", tuple(reversed(runs))))
    straight = compare_runs(SweepRecord("s", tuple(runs)))
    p = [next(t.p for t in c.tests if t.metric == "test/loss") for c in (straight, shuffled)]
    assert p[0] == pytest.approx(p[1])
    seeds = [list(s.values) for s in shuffled.scores]
    assert all(found == ["0", "1", "2", "3"] for found in seeds), "in the seeds' order"


def test_directions_are_those_that_are_recorded() -> None:
    """Not those that a name suggests: less of a Brier score is better, more of an error here."""
    found = Directions.from_tags({Tags.HIGHER: "error,r2", Tags.LOWER: "brier"})
    assert [found.of(f"test/t/{name}") for name in ("error", "r2", "brier")] == [1, 1, -1]
    assert [found.of(key) for key in ("test/loss", "val/mean/loss", "test/t/loss")] == [-1] * 3
    assert [found.of(key) for key in ("test/t/accuracy", "gate/r2", "time/brier")] == [0] * 3
    assert Directions.from_tags(found.to_tags()) == found
    assert Directions.from_tags({}).of("test/loss") == -1


def test_sweeps_that_contradict_each_other_about_a_direction() -> None:
    one, other = Directions(("r2", "x", "y"), ("z",)), Directions(("f1", "y"), ("mae", "x"))
    assert one | other == Directions(("f1", "r2", "y"), ("mae", "z"))


def test_less_is_better_of_a_metric_of_ones_own() -> None:
    runs = [run("sweep", gates="a,b", metrics_lower="brier")]
    for gate, values in {"a": [0.10, 0.11, 0.12], "b": [0.40, 0.42, 0.41]}.items():
        runs += [run("gate", gate)]
        runs += [
            run("evaluate", gate, seed=seed, metrics={"test/mean/brier": value})
            for seed, value in enumerate(values)
        ]
    found = compare_runs(SweepRecord("s", tuple(runs)))
    assert found.leaders("test/mean/brier") == ["a"]
    assert found.beats_all("test/mean/brier", "a")
    assert not found.beats_all("test/mean/brier", "b")
    assert "a has the lowest test mean/brier" in said(found, "test/mean/brier")
    assert pairwise(found, "test/mean/brier")[0].better == "a"


def test_directions(comparison: Comparison) -> None:
    assert comparison.best("test/loss") == comparison.best("test/mean/accuracy") == "a"
    assert comparison.best("gate/entropy") is None
    assert comparison.beats_all("test/loss", "a")
    assert comparison.beats_all("test/mean/accuracy", "a")
    worst = compare_runs(record({"a": LOSSES["a"], "b": LOSSES["b"]}))
    assert not worst.beats_all("test/loss", "b"), "significantly different, but worse"


def test_a_gate_without_a_finished_trial_is_named(comparison: Comparison) -> None:
    budget = {b.gate: b for b in comparison.budgets}["dead"]
    assert (budget.trials, budget.failed, budget.evaluated) == (2, 2, 0)
    assert budget.reasons == {"boom": 2}
    assert "dead has no score: no trial finished: boom." in sentences(comparison)
    assert "0/0/2" in render(score_grid(comparison))


COUNTED = {"search/finished": 3.0, "search/pruned": 5.0, "search/failed": 2.0}


@pytest.mark.parametrize(
    ("tag", "reasons"),
    [
        ('{"NaN": 2}', {"NaN": 2}),
        ('{"a reason so long that MLflow cut it o', {}),
        ("[]", {}),
    ],
)
def test_budgets_as_the_gates_count_them(tag: str, reasons: dict[str, int]) -> None:
    """No trial need be read."""
    runs = (run("sweep", gates="a"), run("gate", "a", metrics=COUNTED, search_reasons=tag))
    (budget,) = compare_runs(SweepRecord("s", runs)).budgets
    assert (budget.finished, budget.pruned, budget.failed) == (3, 5, 2)
    assert budget.reasons == reasons


def test_failed_seeds_are_said() -> None:
    lost = run("evaluate", "a", "failed", seed=9, end_reason="val/loss is nan")
    comparison = compare_runs(SweepRecord("s", (*record(LOSSES).runs, lost)))
    budget = next(b for b in comparison.budgets if b.gate == "a")
    assert (budget.evaluated, budget.lost) == (4, 1)
    assert "a is scored on the 4 of 5 seeds that did not fail (val/loss is nan)." in said(
        comparison
    )


def test_table(comparison: Comparison) -> None:
    text = render(score_grid(comparison))
    assert "0.105 ± 0.021*" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "| test loss | **0.105 ± 0.021*** |" in markdown(score_grid(comparison))
    only = score_grid(comparison, ["gate/entropy"])
    assert [row[0] for row in only.rows][0] == "gate entropy"
    assert not any("loss" in row[0] for row in only.rows)


def test_names_are_no_markup() -> None:
    comparison = compare_runs(record({"[red]a": [0.1, 0.2], "b|c": [0.2, 0.4]}))
    assert "[red]a" in render(score_grid(comparison))
    assert "[red]x" in render(Grid("[b]title", ["[b]column"], [["[red]x"]], "[b]caption"))
    assert "b\\|c" in markdown(score_grid(comparison))


def test_sentences(comparison: Comparison) -> None:
    assert sentences(comparison) == [
        "a wins: its test loss is significantly lower than that of every other gate.",
        "dead has no score: no trial finished: boom.",
        "P(a better than c) = 0.999 and P(a better than b) > 0.999 (Student's posterior of the "
        "mean difference, flat prior).",
        "Of the trials, 1 of 2 (a, b, c) and 0 of 2 (dead) were trained to the end.",
        "The verdict speaks of these configurations, found by one search each, on one split, with "
        "4 seeds: how scores vary over searches and splits is not seen.",
        "With 4 seeds a true difference must be 0.03 from b and 0.065 from c to be found "
        "significant in 4 of 5 repetitions; a smaller one stays hidden more often.",
        "With 4 seeds the paired t-test decides: tests by ranks and by sign flips can never be "
        "significant (their smallest p is 0.125, 0.38 corrected for 3 pairs).",
        "a has the lowest test loss, 0.105 (95% interval 0.08446 to 0.1255), over 4 seeds.",
        "b's is higher by 0.103 (95% interval 0.0873 to 0.118): significant, p < 0.001 after "
        "Holm's correction.",
        "c's is higher by 0.105 (95% interval 0.0719 to 0.138): significant, p = 0.0041 after "
        "Holm's correction.",
    ]
    higher = sentences(comparison, "test/mean/accuracy")[-3:-1]
    assert higher[0].startswith("a has the highest test mean/accuracy, 0.895 (")
    assert higher[1].startswith("b's is lower by 0.102 (95% interval 0.0873 to 0.118): significant")
    assert "no better and worse" in said(comparison, "gate/entropy")
    assert "No gate has a test f1" in said(comparison, "test/f1")


def test_what_could_stay_hidden_is_said() -> None:
    losses = {"a": [0.10, 0.12, 0.11, 0.09, 0.10], "b": [0.10, 0.15, 0.12, 0.08, 0.12]}
    comparison = compare_runs(record(losses))
    spread = np.std(np.subtract(losses["a"], losses["b"]), ddof=1)
    least = smallest_difference(comparison, "test/loss", "a", "b")
    assert least == pytest.approx(spread * smallest_effect(5))
    assert f"With 5 seeds a true difference must be {least:.2g} from b to be" in said(comparison)
    assert "smallest p is 0.0625)." in said(comparison)


def test_six_seeds_are_enough_for_ranks_of_two_gates_but_not_of_three() -> None:
    losses = {
        gate: (0.1 + 0.01 * np.random.default_rng(1).normal(size=6)).tolist() for gate in "ab"
    }
    assert "can never be significant" not in said(compare_runs(record(losses)))
    assert "can never be significant" in said(compare_runs(record({**losses, "c": losses["a"]})))


def test_one_seed_has_no_interval_and_no_test() -> None:
    comparison = compare_runs(record({"a": [0.1], "b": [0.2]}))
    assert "b's is higher by 0.1; one seed cannot tell that from chance." in said(comparison)
    assert "±" not in render(score_grid(comparison)).partition("mean ±")[0]


def test_one_gate_has_nobody_to_beat() -> None:
    comparison = compare_runs(record({"a": [0.1, 0.2]}))
    assert "a is the only gate with a test loss: 0.15 (95% interval" in said(comparison)
    assert not comparison.beats_all("test/loss", "a")


def test_level_gates_share_the_first_place() -> None:
    comparison = compare_runs(record({"a": [0.1, 0.2], "b": [0.2, 0.1], "c": [0.3, 0.5]}))
    assert comparison.leaders("test/loss") == ["a", "b"]
    assert "a and b are level with the lowest test loss, 0.15." in said(comparison)
    row = next(row for row in score_grid(comparison).rows if row[0] == "test loss")
    assert [cell.startswith("**") for cell in row[1:]] == [True, True, False, False]


def test_nothing_to_compare() -> None:
    comparison = compare_runs(SweepRecord("s", (run("sweep", end=""), run("gate", "a", ""))))
    assert sentences(comparison) == [
        "No gate has been evaluated yet, so there is nothing to compare but the budgets."
    ]
    assert comparison.to_frame().empty
    assert comparison.running
    render(score_grid(comparison))


def test_values_that_are_not_finite() -> None:
    comparison = compare_runs(record({"a": [0.1, math.nan, 0.3], "b": [0.2, 0.3, 0.5]}))
    assert comparison.best("test/loss") == "b"
    assert "a's cannot be tested: it is not finite on every seed." in said(comparison)
    render(score_grid(comparison))


def test_foreign_runs_without_our_tags() -> None:
    foreign = RunRecord("id", "n", "FINISHED", {}, {"test/loss": 1.0}, {"sweep": "s"})
    assert compare_runs(SweepRecord("s", (foreign,))).gates == ()


def test_many_targets_show_means_only() -> None:
    metrics = {f"test/t{i}/r2": 0.5 for i in range(20)} | {"test/loss": 1.0, "test/mean/r2": 0.5}
    runs = (run("evaluate", "a", seed=0, metrics=metrics),)
    comparison = compare_runs(SweepRecord("s", runs))
    assert shown_metrics(comparison) == ["test/loss", "test/mean/r2"]
    assert len(comparison.to_frame()) == 22


def test_a_mean_says_of_how_many_targets_it_is() -> None:
    metrics = {"test/loss": 1.0, "test/mean/auroc": 0.7, "test/mean/f1": 0.6}
    metrics |= {"defined/test/auroc": 28.0, "targets/test/auroc": 29.0}
    runs = [run("evaluate", gate, seed=0, metrics=metrics) for gate in "ab"]
    titles = [row[0] for row in score_grid(compare_runs(SweepRecord("s", tuple(runs)))).rows]
    assert titles[:3] == ["test loss", "test mean/auroc (28 of 29 targets)", "test mean/f1"]
    fewer = run("evaluate", "c", seed=0, metrics={**metrics, "defined/test/auroc": 27.0})
    comparison = compare_runs(SweepRecord("s", (*runs, fewer)))
    assert score_grid(comparison).rows[1][0] == "test mean/auroc (27 to 28 of 29 targets)"
    (grid,) = predictive_grids(comparison)
    assert grid.rows[1][0] == "mean: auroc (27 to 28 of 29 targets)"
    assert [*_meanings([grid], {"auroc": "x", "f1": "y", "r2": "z"})] == [{"auroc": "x", "f1": "y"}]


def many() -> Comparison:
    random = np.random.default_rng(0)
    losses = {f"gate{i}": list(0.5 - 0.05 * i + 0.01 * random.normal(size=5)) for i in range(8)}
    return compare_runs(record(losses))


def test_many_gates_are_rows_with_the_best_first() -> None:
    comparison = many()
    lines = markdown(score_grid(comparison)).splitlines()
    assert lines[0].startswith("| gate | test loss |")
    named = [line.split("|")[1].strip() for line in lines[2:]]
    assert named[:8] == [f"gate{i}" for i in reversed(range(8))]
    assert "dead" in named[8:], "without a score last"
    assert lines[2].split("|")[2].strip().startswith("**0.1")
    assert all(len(line) <= 100 for line in render(score_grid(comparison)).splitlines())
    by_accuracy = score_grid(comparison, ["test/mean/accuracy"]).rows
    assert [row[0] for row in by_accuracy][:8] == named[:8], "the highest first"


def test_many_gates_are_listed_in_a_sentence() -> None:
    assert "After Holm's correction its difference from every other gate is significant." in said(
        many()
    )
    random = np.random.default_rng(0)
    losses = {
        f"g{i}": (0.5 + (0.2 * (i > 6)) + 0.01 * random.normal(size=5)).tolist() for i in range(9)
    }
    verdict = said(compare_runs(record(losses)))
    assert "its difference from g7 and g8 is significant." in verdict
    assert "is not significant." in verdict
    assert "to be found significant in 4 of 5" in verdict


def merged() -> Comparison:
    first = evaluated({"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.3, 1: 0.4, 2: 0.6}}, "one")
    second = evaluated({"a": {1: 0.5, 2: 0.7, 3: 0.9}, "c": {7: 0.8, 8: 0.9}}, "two")
    return compare_runs(first, second)


def test_sweeps_side_by_side_are_paired_where_seeds_are_equal() -> None:
    comparison = merged()
    assert comparison.sweep == "one, two"
    assert comparison.gates == ("a (one)", "b", "a (two)", "c")
    tests = {(t.first, t.second): t for t in comparison.tests}
    assert tests["a (one)", "a (two)"].n == 2
    assert tests["a (one)", "a (two)"].difference == pytest.approx(-0.35)
    assert tests["a (one)", "c"].n == 0
    assert not comparison.beats_all("test/loss", "a (one)"), "c is not tested"
    assert "c has no seed in common with a (one), so their difference is not tested." in said(
        comparison
    )
    assert "over the 2 seeds that both have" in said(comparison)


def test_the_same_name_in_two_stores() -> None:
    records = [replace(evaluated({"a": {0: 0.1}}), uri=f"sqlite:///{i}.db") for i in "xy"]
    comparison = compare_runs(*records)
    assert comparison.gates == ("a (s 1)", "a (s 2)")
    labels = dict(zip(["s 1", "s 2"], comparison.conditions, strict=True))
    assert origins(labels) == [f"s {n} is s in sqlite:///{i}.db." for n, i in ((1, "x"), (2, "y"))]


def test_files(comparison: Comparison, tmp_path: Path) -> None:
    comparison.to_csv(tmp_path / "c.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "c.csv"), comparison.to_frame())
    comparison.to_json(tmp_path / "c.json")

    def refuse(text: str) -> float:
        raise ValueError(text)

    read = json.loads((tmp_path / "c.json").read_text(), parse_constant=refuse)
    assert len(read["scores"]) == len(comparison.scores)
    assert read["scores"][0]["values"] == {"0": 0.10, "1": 0.12, "2": 0.11, "3": 0.09}
    assert (read["running"], read["ignored"]) == (False, 0)
    assert read["conditions"][0]["seeds"] == ["0", "1", "2", "3"]
    one = compare_runs(record({"a": [math.nan]}))
    one.to_json(tmp_path / "nan.json")
    json.loads((tmp_path / "nan.json").read_text(), parse_constant=refuse)


def test_inference_is_scipys(comparison: Comparison) -> None:
    pairs = {(p.first, p.second): p for p in pairwise(comparison, "test/loss")}
    assert list(pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (first, second), pair in pairs.items():
        ours, theirs = LOSSES[first], LOSSES[second]
        assert pair.difference == pytest.approx(np.mean(ours) - np.mean(theirs))
        assert pair.bca_low < pair.difference < pair.bca_high
        assert pair.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
        assert pair.p_wilcoxon == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)
        flips = stats.permutation_test(
            (np.subtract(ours, theirs),), np.mean, permutation_type="samples"
        )
        assert pair.p_permutation == pytest.approx(flips.pvalue)
    better = pairs["a", "b"]
    test = stats.ttest_ind(LOSSES["a"], LOSSES["b"], equal_var=False, alternative="less")
    assert (better.better, better.p_welch) == ("a", pytest.approx(test.pvalue))
    for name in ("p", "p_wilcoxon", "p_permutation"):
        plain = [getattr(pair, name) for pair in pairs.values()]
        assert [getattr(pair, f"{name}_holm") for pair in pairs.values()] == holm(plain)


def test_inference_in_both_directions_and_in_none(comparison: Comparison) -> None:
    higher = pairwise(comparison, "test/mean/accuracy")[0]
    assert (higher.better, higher.difference > 0) == ("a", True)
    assert higher.p_welch == pytest.approx(pairwise(comparison, "test/loss")[0].p_welch)
    entropy = pairwise(comparison, "gate/entropy")[0]
    assert (entropy.better, math.isnan(entropy.p_welch)) == ("", True)
    assert not math.isnan(entropy.p)


def test_inference_without_common_seeds_and_without_differences() -> None:
    pairs = {(p.first, p.second): p for p in pairwise(merged(), "test/loss")}
    assert pairs["a (one)", "c"].n == 0
    assert math.isnan(pairs["a (one)", "c"].p_holm)
    assert "-" in pair_grid(merged(), "test/loss", [pairs["a (one)", "c"]]).rows[0][1:]
    same = pairwise(compare_runs(record({"a": [0.1, 0.2], "b": [0.1, 0.2]})), "test/loss")[0]
    assert (same.bca_low, same.bca_high, same.p, same.better) == (0, 0, 1, "")


def test_a_metric_that_is_not_there(comparison: Comparison) -> None:
    with pytest.raises(LookupError, match=r"no metric 'test/los' in sweep s; did you mean"):
        pairwise(comparison, "test/los")


def test_pairs_of_many_gates_are_the_best_ones() -> None:
    comparison = many()
    grid = pair_grid(comparison, "test/loss", pairwise(comparison, "test/loss"))
    assert len(grid.rows) == 7
    assert all("gate7" in row[0] for row in grid.rows)
    assert "Holm's correction for 28 pairs" in grid.caption
    assert all(len(line) <= 100 for line in render(grid).splitlines())


PARAMS = {"search.trials": "20", "training.max_epochs": "5", "task": "t", "search.seed": "0"}


def configured(name: str, *, seeds: range = range(3), model: str = "8", **tags: str) -> SweepRecord:
    params = PARAMS | {k: v for k, v in tags.items() if "." in k}
    metrics = {"test/loss": 0.1}
    runs = [
        run("sweep", gates="a", params=params, **{k: v for k, v in tags.items() if k == "data"}),
        run("gate", "a", params={"gate": "top_k", "model.num_experts": model}),
        *(run("evaluate", "a", seed=seed, metrics=metrics) for seed in seeds),
    ]
    return SweepRecord(name, tuple(runs))


def lines(*records: SweepRecord) -> list[str]:
    labels = [record.sweep for record in records]
    return differing(dict(zip(labels, compare_runs(*records).conditions, strict=True)))


def test_conditions_that_differ_are_said() -> None:
    plain = configured("one", data="d")
    assert lines(plain, configured("two", data="d")) == []
    assert lines(plain, configured("two", data="d", **{"search.trials": "40"})) == [
        "search.trials differs: 20 (one), 40 (two)."
    ]
    three = configured("two", data="d"), configured("three", data="d", model="16")
    assert lines(plain, *three) == ["model.num_experts differs: 8 (one, two), 16 (three)."]
    assert lines(plain, configured("two", data="d", seeds=range(2, 4))) == [
        "evaluation seeds differ: 3 (one), 2 (two); 1 in common."
    ]
    assert lines(plain, configured("two", data="e")) == [
        "data of t may differ: fingerprint d (one), e (two)."
    ]
    assert lines(plain, configured("two")) == [
        "data of t may differ: fingerprint d (one), not recorded (two)."
    ]


def test_tasks_are_told_apart_by_name_options_and_data() -> None:
    def labels(*records: SweepRecord) -> dict[str, list[str]]:
        return {task: [r.sweep for r in found] for task, found in by_task(records).items()}

    four, eight = ({"task.targets": n} for n in "48")
    assert labels(configured("one", **four), configured("two", **four)) == {"t": ["one", "two"]}
    assert labels(configured("one", **four), configured("two", **eight), configured("three")) == {
        "t (targets=4)": ["one"],
        "t (targets=8)": ["two"],
        "t (default options)": ["three"],
    }
    assert labels(configured("one", data="dd"), configured("two", data="ee")) == {
        "t (data dd)": ["one"],
        "t (data ee)": ["two"],
    }
    assert labels(configured("one", data="dd"), configured("two")) == {"t": ["one", "two"]}


def test_long_options_stand_in_a_tasks_title_only_where_they_alone_tell_it_apart() -> None:
    def titles(*options: dict[str, str]) -> list[str]:
        return [*by_task([configured(str(n), **it) for n, it in enumerate(options)])]

    kinds = [str({f"x{at}": "number" for at in range(count)}) for count in (9, 10)]
    files = [{"task.kinds": it, "task.path": f"{at}.csv"} for at, it in enumerate(kinds)]
    assert titles(*files) == ["t (kinds=..., path=0.csv)", "t (kinds=..., path=1.csv)"]
    assert titles(*({"task.kinds": it} for it in kinds)) == [f"t (kinds={it})" for it in kinds]


def test_a_running_sweep_is_partial_until_every_gate_has_ended() -> None:
    params = {"search.trials": "10"}
    runs = [run("sweep", end="", gates="a,b", params=params), run("gate", "a", metrics=COUNTED)]
    half = compare_runs(SweepRecord("s", (*runs, run("gate", "b", end=""))))
    assert half.running
    assert partial_line(half.conditions[0]) == (
        "PARTIAL: s is still running, or was stopped: 10 of 20 trials have ended, "
        "0 of 2 gates are evaluated."
    )
    whole = compare_runs(SweepRecord("s", (*runs, run("gate", "b"))))
    assert not whole.running, "all is there, though the sweep's run has not been ended yet"


def test_ignored_runs_are_counted() -> None:
    comparison = compare_runs(replace(record(LOSSES), ignored=3))
    assert comparison.ignored == 3
    assert notes(comparison.conditions) == [
        "3 runs of another program in the experiment of s are ignored."
    ]


def test_passwords_do_not_get_out() -> None:
    store = replace(record(LOSSES), uri="postgresql://me:secret@host/db")
    assert "secret" not in json.dumps(compare_runs(store).to_dict())


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "<0.001"), (0.0498, "0.0498"), (0.05, "0.05"), (0.0504, "0.05"), (1, "1")],
)
def test_p_values_are_on_their_side_of_the_level(p: float, text: str) -> None:
    assert p_value(p) == text
