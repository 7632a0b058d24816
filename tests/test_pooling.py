"""Pooling: sweeps that differ only in their draws or their split are repeats of one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.best_trials import best_trials
from gatelab.results.comparison.caveats import differing
from gatelab.results.comparison.merging import by_task
from gatelab.results.comparison.missing_runs import missing
from gatelab.results.comparison.pooling import repeats_of_one
from gatelab.results.comparison.statistics import paired_t
from gatelab.tracking.runs import RunRecord, SweepRecord

LOSS = "test/loss"
SPEC = "gates: {a: {gate: top_k, k: 2}, b: {gate: softmax}}"
COUNTS = {"search/finished": 2.0, "search/pruned": 5.0, "search/failed": 1.0, "search/epochs": 30.0}


def sweep(
    name: str,
    losses: tuple[float, float],
    *,
    seed: str = "0",
    split: str = "",
    spec: str = SPEC,
    trials: str = "8",
    code: str = "x",
    data: str = "d",
    path: str = "",
) -> SweepRecord:
    """Return a sweep of two gates, by their losses."""
    params = {"task": "t", "search.seed": seed, "search.trials": trials}
    params |= {"task.split_seed": split} if split else {}
    params |= {"task.path": path} if path else {}
    tags = {"stage": "sweep", "task": "t", "end": "finished", "gates": "a,b", "data": data + split}
    runs = [RunRecord("s", "s", "FINISHED", params, {}, tags)]
    for gate, key, loss in zip("ab", ("top_k", "softmax"), losses, strict=True):
        tags = {"gate": gate, "end": "finished", "code.my_gate": code}
        runs.append(RunRecord("g", "g", "", {"gate": key}, COUNTS, {**tags, "stage": "gate"}))
        tags |= {"stage": "evaluate", "seed": f"7{seed}", "split_seed": split or "0"}
        tags |= {"test_to_train": "0.25"}
        runs.append(RunRecord("e", "e", "", {}, {LOSS: loss}, tags))
        scores = {"val/loss": loss + int(seed or 0)}
        runs.append(RunRecord("t", "t", "", {}, scores, {**tags, "stage": "search"}))
    return SweepRecord(name, tuple(runs), spec=spec)


def groups(*records: SweepRecord) -> list[list[str]]:
    return [list(group) for group in repeats_of_one({record.sweep: record for record in records})]


THREE = [sweep(f"s{i}", (float((1, 2, 6)[i]), 0.0), seed=str(i)) for i in range(3)]


def test_search_seeds_are_repeats_of_one_gate() -> None:
    comparison = compare_runs(*THREE)
    assert comparison.gates == ("a", "b")
    assert (comparison.sweep, comparison.unit, comparison.repeats) == ("s0, s1, s2", "repeat", 3)
    score = comparison.score("a", LOSS)
    assert score is not None and score.values == {"0/0": 1.0, "1/0": 2.0, "2/0": 6.0}
    (test,) = comparison.tests
    assert test.p == pytest.approx(paired_t([1, 2, 6], [0, 0, 0]).p)
    budget = comparison.budgets[0]
    assert (budget.finished, budget.pruned, budget.failed, budget.epochs) == (6, 15, 3, 90)
    assert budget.evaluated == 3


def test_splits_are_decided_by_the_corrected_test() -> None:
    records = [sweep(f"s{i}", (float((1, 2, 6)[i]), 0.0), split=str(i)) for i in range(3)]
    assert list(by_task(records)) == ["t"], "one task, whatever its split"
    comparison = compare_runs(*records)
    assert (comparison.unit, comparison.repeats, comparison.splits) == ("split", 3, 3)
    (test,) = comparison.tests
    assert test.p == pytest.approx(paired_t([1, 2, 6], [0, 0, 0], 0.25).p)


@pytest.mark.parametrize(
    "other",
    [
        sweep("other", (1.0, 1.0), seed="1", spec=SPEC.replace("k: 2", "k: 4")),
        sweep("other", (1.0, 1.0), seed="1", trials="16"),
        sweep("other", (1.0, 1.0), seed="1", code="y"),
        sweep("other", (1.0, 1.0), seed="1", data="e"),
        sweep("other", (1.0, 1.0), seed=""),
        sweep("other", (1.0, 1.0)),
    ],
    ids=["space", "trials", "code", "data", "unknown", "the same search twice"],
)
def test_what_differs_in_more_or_in_nothing_stands_side_by_side(other: SweepRecord) -> None:
    assert groups(THREE[0], other) == [["s0"], ["other"]]
    assert compare_runs(THREE[0], other).repeats == 1


def test_sweeps_whose_spaces_nobody_can_read_stand_side_by_side() -> None:
    unread = [replace(one, spec="", unread="/elsewhere") for one in THREE]
    assert groups(*unread) == [["s0"], ["s1"], ["s2"]]
    told = "The files of s0 cannot be read from here: they lie in /elsewhere."
    assert next(missing(unread[0])).startswith(told)


def test_a_split_is_another_by_its_seed_where_no_fingerprint_is_recorded() -> None:
    """The same draws on it are a repeat too."""
    one, two = (sweep(f"s{split}", (1.0, 2.0), split=split) for split in "12")
    bare = [_without_data(record) for record in (one, two)]
    assert groups(*bare) == [["s1", "s2"]]
    assert groups(bare[0], replace(bare[0], sweep="again")) == [["s1"], ["again"]]


def _without_data(record: SweepRecord) -> SweepRecord:
    run = record.runs[0]
    tags = {key: value for key, value in run.tags.items() if key != "data"}
    return replace(record, runs=(replace(run, tags=tags), *record.runs[1:]))


def test_a_spec_says_more_than_which_gates_are_searched() -> None:
    named = sweep("other", (1.0, 1.0), seed="1", spec=f"name: other\n{SPEC}")
    assert groups(THREE[0], named) == [["s0", "other"]]


def test_of_two_tasks_the_one_without_options_is_told_apart() -> None:
    run = THREE[1].runs[0]
    params = {**run.params, "task.noise": "0.5"}
    noisy = replace(THREE[1], runs=(replace(run, params=params), *THREE[1].runs[1:]))
    assert list(by_task([THREE[0], noisy])) == ["t (default options)", "t (noise=0.5)"]
    other = replace(run, params={**params, "task": "u"}, tags={**run.tags, "task": "u"})
    assert list(by_task([THREE[0], replace(noisy, runs=(other,))])) == ["t", "u"], "by the names"


def test_rows_are_no_gates_that_must_be_the_same() -> None:
    """Which of them a sweep has follows from its draws."""
    tags = {"stage": "gate", "gate": "a.k1", "row_of": "a", "end": "finished"}
    row = RunRecord("r", "r", "", {"gate": "top_k"}, {}, tags)
    more = replace(THREE[0], runs=(*THREE[0].runs, row))
    assert groups(more, *THREE[1:]) == [["s0", "s1", "s2"]]


def test_a_split_seed_written_out_is_no_other_split() -> None:
    """The fingerprint of the data says that it is the same one."""
    written = sweep("other", (1.0, 1.0), split="0", data="d")
    run = replace(written.runs[0], tags={**written.runs[0].tags, "data": "d"})
    assert groups(THREE[0], replace(written, runs=(run, *written.runs[1:]))) == [["s0"], ["other"]]


def test_a_sweep_beside_a_pool_has_its_own_gates() -> None:
    other = sweep("other", (3.0, 3.0), trials="16")
    comparison = compare_runs(THREE[0], other, THREE[1])
    assert comparison.gates == ("a (s0, s1)", "b (s0, s1)", "a (other)", "b (other)")
    tests = {(test.first, test.second): test.n for test in comparison.tests}
    assert tests["a (s0, s1)", "a (other)"] == 1, "of the search seed that both have"


def test_the_best_trials_of_a_pool_are_of_all_its_searches() -> None:
    found = best_trials(THREE, share=1.0).summaries[0]
    assert (found.gate, found.trials, found.values) == ("a", 24, (1.0, 3.0, 8.0))


def test_sweeps_on_other_splits_that_are_not_one_are_not_tested() -> None:
    other = sweep("other", (3.0, 3.0), split="1", trials="16")
    comparison = compare_runs(THREE[0], other)
    assert comparison.unit == "split"
    assert {
        t.n for t in comparison.tests if t.first.endswith("(s0)") != t.second.endswith("(s0)")
    } == {0}


def test_only_what_is_not_meant_to_differ_is_complained_of() -> None:
    sweeps = dict(
        zip(
            ("s0", "other"),
            compare_runs(THREE[0], sweep("o", (1.0, 1.0), trials="9")).conditions,
            strict=True,
        )
    )
    assert differing(sweeps) == ["search.trials differs: 8 (s0), 9 (other)."]


PLACES = ("a/d.csv", "/b/d.csv", "other.csv")


def test_one_file_in_several_places_is_one_task() -> None:
    records = [sweep(f"s{i}", (1.0, 2.0), seed=str(i), path=PLACES[i]) for i in range(3)]
    assert list(by_task(records)) == ["t"]
    assert groups(*records) == [["s0", "s1", "s2"]]


def test_files_of_other_data_are_other_tasks() -> None:
    records = [sweep(p, (1.0, 2.0), path=p, data=p) for p in PLACES]
    assert len(by_task(records)) == 3


@pytest.mark.parametrize(
    ("path", "tasks"),
    [("x/a/d.csv", 1), ("0/a/d.csv", 1), ("./a/d.csv", 1), ("b/d.csv", 2), ("", 2)],
)
def test_of_other_splits_the_path_says_which_file_it_is(path: str, tasks: int) -> None:
    one = sweep("one", (1.0, 2.0), split="0", path="a/d.csv")
    assert len(by_task([one, sweep("two", (1.0, 2.0), split="1", path=path)])) == tasks
    assert len(by_task([sweep("two", (1.0, 2.0), split="1", path=path), one])) == tasks


def test_the_configuration_of_several_searches_is_of_one_that_kept_its_k() -> None:
    """Though the other's evaluation had a better objective."""
    found = []
    for seed, (cost, tags) in enumerate([(0.5, {}), (0.3, {"broken": "yes"}), (0.7, {})]):
        made = sweep(f"s{seed}", (1.0, 2.0), seed=str(seed))
        shown = {"gate": "top_k", "gate.temperature": str(seed)}
        runs = [
            replace(run, params=shown, metrics={"objective": cost}, tags={**run.tags, **tags})
            if (run.stage, run.gate) == ("gate", "a")
            else run
            for run in made.runs
        ]
        found.append(replace(made, runs=tuple(runs)))
    assert compare_runs(*found).configurations["a"]["gate.temperature"] == "0"
