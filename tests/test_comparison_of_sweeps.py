"""Sweeps side by side: what is paired, what differs, and what is not there yet."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.caveats import differing, notes, origins, partial_line
from gatelab.results.comparison.merging import by_task
from gatelab.results.report.conditions_grid import conditions_grid
from gatelab.tracking.runs import SweepRecord
from tests.recorded_losses import COUNTED, LOSSES, evaluated, merged, record, run, said


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


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (("1", 0, 1, 0), "0 of 1 trial has ended, 0 of 1 gate is evaluated."),
        (("1", 1, 1, 1), "1 of 1 trial has ended, 1 of 1 gate is evaluated."),
        (("2", 3, 2, 1), "3 of 4 trials have ended, 1 of 2 gates is evaluated."),
        (("2", 4, 2, 2), "4 of 4 trials have ended, 2 of 2 gates are evaluated."),
        (("", 0, 1, 1), "0 trials have ended, 1 of 1 gate is evaluated."),
        (("", 1, 3, 2), "1 trial has ended, 2 of 3 gates are evaluated."),
    ],
)
def test_a_partial_sweep_is_told_in_words_of_one_and_of_many(
    numbers: tuple[str, int, int, int], words: str
) -> None:
    planned, trials, gates, evaluated = numbers
    under = compare_runs(record(LOSSES)).conditions[0]
    under = replace(
        under,
        settings={"search.trials": planned},
        gates={f"g{i}": "top_k" for i in range(gates)},
        searched=gates,
        trials=trials,
        evaluated=evaluated,
    )
    assert partial_line(under).endswith(f" or was stopped: {words}")


@pytest.mark.parametrize(("ignored", "words"), [(1, "1 run of"), (2, "2 runs of")])
def test_the_conditions_tell_how_many_runs_were_left_out(ignored: int, words: str) -> None:
    found = replace(record(LOSSES), ignored=ignored)
    rows = {str(row[0]): row[1] for row in conditions_grid(found, compare_runs(found)).rows}
    assert rows["left out"] == f"{words} other programs in its experiment"


def test_ignored_runs_are_counted() -> None:
    comparison = compare_runs(replace(record(LOSSES), ignored=3))
    assert comparison.ignored == 3
    assert notes(comparison.conditions) == [
        "3 runs of another program in the experiment of s are ignored."
    ]


def test_passwords_do_not_get_out() -> None:
    store = replace(record(LOSSES), uri="postgresql://me:secret@host/db")
    assert "secret" not in json.dumps(compare_runs(store).to_dict())
