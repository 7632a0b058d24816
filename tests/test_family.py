"""The family of tests: pairs with a gate, and no others, weigh on what is significant."""

from __future__ import annotations

import math
import statistics

import pytest
from compared import HIGH, LOSS, LOW, MIDDLE, ROUGH, compared

from gatelab.results.comparison import Comparison, inference
from gatelab.results.comparison.answer import everyone
from gatelab.results.comparison.equivalence import equivalences
from gatelab.results.comparison.inference import pairwise
from gatelab.results.comparison.score_grids import pair_grid
from gatelab.results.comparison.statistics import holm, paired_t, smallest_effect
from gatelab.results.comparison.verdict import sentences
from gatelab.results.report.page_grids import pair_grids

FAR = [0.9, 0.95, 0.93, 0.92]
LOSSES = {"a": LOW, "b": ROUGH, "single": MIDDLE, "random_k": HIGH, "oracle": FAR}
ASKED = {
    *(frozenset(pair) for pair in (("a", "b"), ("a", "single"), ("a", "random_k"))),
    *(frozenset(pair) for pair in (("b", "single"), ("b", "random_k"))),
}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compared(LOSSES)


def test_it_is_gates_with_gates_and_gates_with_baselines(comparison: Comparison) -> None:
    assert comparison.family == ASKED
    assert {frozenset((t.first, t.second)) for t in comparison.tests if t.p_holm < 2} == ASKED
    assert len(comparison.tests) == 10, "the other pairs have their difference, and no p"
    assert inference.testable(comparison, LOSS) == 5


def test_p_values_are_corrected_for_it_alone(comparison: Comparison) -> None:
    pairs = [("a", "b"), ("a", "single"), ("a", "random_k"), ("b", "single"), ("b", "random_k")]
    plain = [paired_t(LOSSES[first], LOSSES[second]).p for first, second in pairs]
    for found in (comparison.tests, pairwise(comparison, LOSS)):
        tests = {(t.first, t.second): t for t in found}
        assert [tests[pair].p_holm for pair in pairs] == pytest.approx(holm(plain))
        outside = [t for pair, t in tests.items() if pair not in pairs]
        assert len(outside) == 5 and all(math.isnan(t.p_holm) for t in outside)
        assert not any(math.isnan(t.difference) or t.significant for t in outside)
    found = pairwise(comparison, LOSS)
    single = next(p for p in found if (p.first, p.second) == ("a", "single"))
    assert single.p_permutation == single.p_wilcoxon == 2 / 2**4
    assert single.p_permutation_holm == single.p_wilcoxon_holm == 5 * 2 / 2**4
    spread = statistics.stdev(x - y for x, y in zip(LOW, MIDDLE, strict=True))
    assert single.smallest == pytest.approx(spread * smallest_effect(4, 5))


def test_equivalence_is_corrected_for_it_alone(comparison: Comparison) -> None:
    found = equivalences(comparison, LOSS, 0.5)
    assert {frozenset((e.gate, e.reference)) for e in found} == ASKED
    assert [e.p_holm for e in found] == pytest.approx(holm([e.p for e in found]))


def test_the_tables_say_for_how_many_pairs(comparison: Comparison) -> None:
    words = "Holm's correction for the 5 pairs that are tested"
    assert words in pair_grid(comparison, LOSS, pairwise(comparison, LOSS)).caption
    assert words in pair_grids(comparison)[0].caption
    rows = {row[0]: row for row in pair_grids(comparison)[0].rows}
    assert rows["single - random_k"][2:5] == ["-", "-", "-"]
    alone = compared({"a": LOW, "b": MIDDLE, "c": HIGH})
    assert "Holm's correction for 3 pairs;" in pair_grids(alone)[0].caption


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ({"a": LOW, "b": MIDDLE}, "1 pair"),
        ({"a": LOW, "b": MIDDLE, "oracle": FAR}, "the 1 pair that is tested"),
        ({"a": LOW, "oracle": FAR}, "no pair, since none can be tested"),
        ({"a": LOW[:1], "b": MIDDLE[:1]}, "no pair, since none can be tested"),
        ({"a": LOW, "b": MIDDLE, "c": HIGH[:1]}, "the 1 pair that is tested"),
    ],
)
def test_one_pair_and_none_are_said_as_such(losses: dict[str, list[float]], words: str) -> None:
    found = compared(losses)
    caption = pair_grid(found, LOSS, pairwise(found, LOSS)).caption
    assert f"Holm's correction for {words}; of Welch's test" in caption


def test_a_baseline_that_is_best_is_measured_by_the_gates(comparison: Comparison) -> None:
    """Two baselines that are level do not hide that no gate is as good as either."""
    found = compared({"a": HIGH, "single": LOW, "random_k": ROUGH, "oracle": FAR})
    assert found.beats_all(LOSS, "single") and found.beats_all(LOSS, "random_k")
    said = sentences(found)
    assert said[0] == "No gate wins: the baseline single has a significantly lower test loss."
    assert any(
        line.startswith("random_k's is higher by 0.0025 (95% interval -0.")
        and line.endswith("; as a baseline it is not tested against single.")
        for line in said
    )
    assert any(line.endswith("; as a ceiling it is not tested against single.") for line in said)
    assert not any("from random_k" in line for line in said), "no power is told of such a pair"


def test_a_ceiling_below_everybody_changes_nothing(comparison: Comparison) -> None:
    without = compared({gate: values for gate, values in LOSSES.items() if gate != "oracle"})
    for gate in ("a", "b", "single", "random_k"):
        assert without.rivals(LOSS, gate) == comparison.rivals(LOSS, gate)
    said = sentences(comparison)
    apart = [line for line in said if line.startswith("oracle's")]
    assert len(apart) == 1 and [line for line in said if line not in apart] == sentences(without)


def test_where_nobody_is_a_gate_baselines_are_compared() -> None:
    found = compared({"single": LOW, "random_k": HIGH, "constant": FAR, "oracle": MIDDLE})
    assert len(found.family) == 3 and not any("oracle" in pair for pair in found.family)
    assert found.beats_all(LOSS, "single")


def test_of_many_gates_only_those_of_the_family_are_told() -> None:
    many = {f"g{i}": [x + i for x in HIGH] for i in range(4)}
    baselines = {"single": LOW, "random_k": MIDDLE, "constant": FAR}
    said = sentences(compared({**many, **baselines}))
    assert said[-1] == "After Holm's correction its difference from every gate is significant."
    lead = {"best": [x / 2 for x in LOW]}
    every = {
        "every other gate and baseline": lead | many | baselines,
        "every other gate": lead | many | {"x": FAR, "y": [x + 9 for x in FAR]},
        "every baseline": lead | dict.fromkeys(("mine", "single", "random_k", "constant"), FAR),
    }
    for words, losses in every.items():
        assert everyone(compared(losses), "best", [*losses][1:]) == words
        assert sentences(compared(losses))[0].endswith(f" lower than that of {words}.")
    told = sentences(compared(every["every other gate and baseline"]))[-1]
    assert told.endswith(" its difference from every other gate and baseline is significant.")
    assert everyone(compared(baselines), "single", ["random_k"]) == "every other baseline"
