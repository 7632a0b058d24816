"""The best trials of baselines and ceilings: a ceiling is told the truth, and wins nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest import MonkeyPatch

from gatelab.results.comparison.best_trials import best_trials
from gatelab.results.comparison.trial_report import trial_grid, trial_sentences
from gatelab.results.overview import overview
from gatelab.tracking.runs import RunRecord, SweepRecord

ROLES = {"single": "baseline", "random_k": "baseline", "oracle": "ceiling"}
LOSSES = {
    "oracle": [0.10, 0.11, 0.13],
    "single": [0.70, 0.72, 0.73],
    "softmax": [0.50, 0.51, 0.53],
    "random_k": [0.80, 0.81, 0.83],
    "top_k": [0.60, 0.61, 0.63],
}


def _searched(losses: Mapping[str, Sequence[float]], task: str = "t") -> SweepRecord:
    runs = [RunRecord("s", "s", "FINISHED", {}, {}, {"stage": "sweep", "task": task})]
    for gate, values in losses.items():
        own = {"gate": gate, "end": "finished", "role": ROLES.get(gate, "gate"), "task": task}
        runs.append(RunRecord("g", "g", "FINISHED", {}, {}, {**own, "stage": "gate"}))
        for value in values:
            scores = {"val/loss": value, "objective": value}
            runs.append(RunRecord("t", "t", "FINISHED", {}, scores, {**own, "stage": "search"}))
    return SweepRecord(task, tuple(runs))


def test_a_ceiling_stands_last_and_untested() -> None:
    found = best_trials([_searched(LOSSES)], share=1.0)
    assert found.best()[0].gate == "softmax"
    order = ["softmax", "top_k", "single (baseline)", "random_k (baseline)", "oracle (ceiling)"]
    rows = trial_grid(found, "").rows
    assert [row[0] for row in rows] == order
    assert rows[0][-1] == rows[-1][-1] == "-", "the best, and the ceiling"
    said = trial_sentences(found)
    assert said[0].startswith("softmax has the lowest val loss over its best 3 trials of 3, 0.513")
    better = [line.partition(" is significant")[0] for line in said[1:4]]
    others = ("single (baseline)", "random_k (baseline)", "top_k")
    assert better == [f"That it is better than {other}" for other in others]
    assert "oracle" not in " ".join(said)


def test_pairs_are_those_of_the_family() -> None:
    """A gate with a gate, or with a baseline."""
    tests = best_trials([_searched(LOSSES)], share=1.0).tests
    pairs = {frozenset((test.first, test.second)) for test in tests}
    gates = frozenset(("softmax", "top_k"))
    with_one = {frozenset((g, b)) for g in gates for b in ("single", "random_k")}
    assert pairs == with_one | {gates}


def test_a_ceiling_alone_is_shown() -> None:
    found = best_trials([_searched({"oracle": [0.1, 0.2], "softmax": []})], share=1.0)
    assert [row[0] for row in trial_grid(found, "").rows] == ["oracle (ceiling)", "softmax"]
    (said,) = trial_sentences(found)
    assert said.startswith("This is the loss that chose these trials")


def test_a_ceiling_has_no_rank(monkeypatch: MonkeyPatch) -> None:
    records = [_searched(LOSSES, task) for task in ("one", "other")]
    monkeypatch.setattr("gatelab.results.overview.read_sweeps", lambda *_, **__: records)
    (ranking,) = overview("one", "other", stage="search").rankings
    expected = {"softmax": 1, "top_k": 2, "single": 3, "random_k": 4}
    assert ranking.mean_ranks == expected and set(ranking.gates) == set(expected)
