"""The page of a report: it needs nothing else, says what the comparison says, and can be read."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import torch
from made_reviews import MADE, PROVENANCE, REASON, SHAPES, SPEC, made, many_gates, one_dead, small

from gatelab.gates.meanings import MEANINGS
from gatelab.gates.metrics import usage_metrics
from gatelab.gates.usage import usage_of
from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.missing_runs import without_weights
from gatelab.results.comparison.verdict import sentences
from gatelab.results.figures.catalogue import all_figures
from gatelab.results.report.page import render
from gatelab.results.report.page_grids import pair_grids, predictive_grids, selection_grids
from gatelab.results.report.search_grids import budget_grid, selected_grids
from gatelab.results.review import _seeds_named
from tests.drawn import LARGE, check_figures, page
from tests.recorded_scores import recorded

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
MOST_BYTES = 1_500_000


class Reader(HTMLParser):
    """Reads a page, and refuses tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.classed: list[tuple[str, str]] = []
        self._class = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> twice"
        self._class = dict(attrs).get("class") or ""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        self.classed.append((self._class, data))
        self._class = ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def of_class(self, name: str) -> list[str]:
        return [text.strip() for found, text in self.classed if found == name and text.strip()]

    def said(self, tag: str) -> list[str]:
        return [text.strip() for name, text in self.texts if name == tag and text.strip()]


PARAMS = [
    pytest.param(shape, marks=() if shape in ("small", "running", "empty") else pytest.mark.slow)
    for shape in SHAPES
]


@pytest.mark.parametrize("shape", PARAMS)
def test_the_page_is_whole_and_alone(shape: str) -> None:
    text = page(shape)
    reader = Reader(text)
    ids = Counter(str(a["id"]) for _, a in reader.tags if a.get("id"))
    assert max(ids.values()) == 1, ids.most_common(3)
    referred = re.findall(r'(?:href="|url\()#([^")]*)', text)
    assert set(referred) <= set(ids)
    links = [str(a["href"]) for _, a in reader.tags if "href" in a]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    names = {tag for tag, _ in reader.tags}
    assert not names & {"link", "iframe", "object", "embed", "img"}
    assert not any(key == "src" or key.startswith("on") for _, a in reader.tags for key in a)
    assert not re.search(r"https?:|@import|url\((?!#)", text)


@pytest.mark.slow
@pytest.mark.parametrize("shape", LARGE)
def test_every_figure_of_a_large_page_draws_as_svg_and_png(shape: str, tmp_path: Path) -> None:
    check_figures(shape, tmp_path)


@pytest.mark.parametrize("shape", PARAMS)
def test_the_page_can_be_read_aloud(shape: str) -> None:
    reader = Reader(page(shape))
    assert reader.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.all(
        "meta"
    )
    assert reader.said("title") == ["made: gates on synthetic_groups"]
    assert len(reader.all("caption")) == len(reader.all("table")) > 0
    assert {cell["scope"] for cell in reader.all("th")} == {"col", "row"}
    figures = reader.all("figure")
    assert len(reader.all("figcaption")) == len(figures) == len(reader.all("svg"))
    assert all(a["role"] == "img" and a["aria-label"] for a in reader.all("svg"))
    headings = [tag for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert headings == ["h1"] + ["h2"] * 7


@pytest.mark.parametrize("shape", ["small", pytest.param("many_targets", marks=pytest.mark.slow)])
def test_the_page_is_small(shape: str) -> None:
    assert len(page(shape).encode()) < MOST_BYTES


def test_the_verdict_and_the_table_say_what_the_comparison_says() -> None:
    review, reader = small(), Reader(page("small"))
    said = sentences(review.comparison)
    assert [*reader.of_class("answer"), *reader.said("li")] == said
    assert said[0].startswith("dselect_k wins")
    score = review.comparison.score("dselect_k", "test/loss")
    assert score is not None
    bold = f"{score.mean:.3f} ± {score.high - score.mean:.3f}"
    assert bold in reader.said("strong")
    assert "*" in reader.said("span"), "better than every other gate"
    (grid,) = predictive_grids(review.comparison)
    assert [row[0] for row in grid.rows[:3]] == ["loss", "mean: accuracy", "target_0: accuracy"]
    assert set(reader.said("th")) >= {*MADE, *(row[0] for row in grid.rows)}


def test_minus_signs_are_minus_signs() -> None:
    cells = Reader(page("small")).said("td")
    assert any(cell.startswith("\N{MINUS SIGN}0.0") for cell in cells)
    assert not any(re.search(r"(?:^|[ (])-\d", cell) for cell in cells)


def test_many_gates_are_rows_and_metrics_stand_in_blocks() -> None:
    review = many_gates()
    blocks = predictive_grids(review.comparison)
    assert [len(block.columns) for block in blocks] == [7, 5]
    orders = [[row[0] for row in block.rows] for block in blocks]
    assert orders[0] == orders[1] == list(review.comparison.gates), "the best first"
    chosen = selection_grids(review.comparison, review.record)
    assert all([row[0] for row in block.rows] == orders[0] for block in chosen)
    for gate, cell, *_ in chosen[0].rows:
        score = review.comparison.score(gate, "gate/experts_per_example")
        assert score is not None and cell.startswith(f"{score.mean:.3f}")
    (paired,) = pair_grids(review.comparison)
    assert len(paired.rows) == 15
    assert "120 pairs" in paired.caption and "pairs.csv" in paired.caption


def test_a_reason_is_text_and_not_markup() -> None:
    review = one_dead()
    text = render(review, [])
    assert "<b>" not in text
    assert any(REASON in item for item in Reader(text).said("li"))
    wrong = [cell for cell in Reader(text).said("td") if "RuntimeError" in cell]
    assert wrong == [f"20 × {REASON}"]


def test_a_constant_prediction_and_rows_have_their_place() -> None:
    review = SHAPES["whole"]()
    text = render(review, [])
    assert "0 of 0" not in text and "nan" not in Reader(text).said("td")
    (chosen, *_) = selection_grids(review.comparison, review.record)
    assert "constant (baseline)" not in {row[0] for row in chosen.rows}
    rows = {row[0]: row[1:] for row in budget_grid(review.comparison).rows}
    assert rows["constant (baseline)"][:5] == ["-"] * 5
    assert rows["top_k at k = 4"][:4] == ["7", "4", "3", "0"]
    assert {"top_k at k = 1", "constant (baseline)"} <= set(Reader(text).said("th"))
    (selected,) = selected_grids(review.comparison, review.record)
    assert [row[0] for row in selected.rows][:2] == ["dselect_k, repeat 0", "dselect_k, repeat 1"]
    assert "searched 3 times" in text and "Every selected configuration" in text


@pytest.mark.parametrize(
    ("objective", "require", "said"),
    [
        ("loss", "False", "the lowest validation loss of the task alone."),
        ("val/mean/accuracy", "False", "the highest val/mean/accuracy."),
        ("val/mean/own", "False", "the best val/mean/own."),
        (
            "loss",
            "{'at_most_k': 0.99}",
            "the lowest validation loss of the task alone; of a gate that states k, weights that "
            "keep to it come first.",
        ),
    ],
)
def test_it_says_which_epoch_is_scored(objective: str, require: str, said: str) -> None:
    """In the words in which it says what was searched for."""
    review = small()
    (sweep, *others) = review.record.runs
    params = {**sweep.params, "search.objective": objective, "search.require": require}
    keeping = [replace(r, metrics={**r.metrics, "gate/at_most_k": 1.0}) for r in others]
    record = replace(review.record, runs=(replace(sweep, params=params), *keeping))
    review = replace(review, record=record, comparison=compare_runs(record))
    assert f"on the same data, for {said} " in render(review, [])
    (plate,) = (plate for plate in all_figures(review) if plate.name == "curves")
    assert f"The test score is that of the epoch with {said} " in plate.note


def test_it_says_which_columns_of_expert_selection_are_not_of_the_test_split() -> None:
    evaluations = [
        ("one", 0, 0, seed, {"test/loss": 1.0, "gate/entropy": 0.5, "gate/weight_change": change})
        for seed, change in enumerate((0.1, math.nan))
    ]
    record = recorded(evaluations)
    (grid,) = selection_grids(compare_runs(record), record)
    assert "on the test split, but of val in training: weight_change. No value" in grid.caption
    assert list(map(list, grid.rows)) == [["entropy", "0.5"], ["weight_change", "0.1"]]
    plain = recorded([(*one[:4], {"test/loss": 1.0, "gate/entropy": 0.5}) for one in evaluations])
    (grid,) = selection_grids(compare_runs(plain), plain)
    assert "on the test split. No value" in grid.caption


def test_it_says_how_often_gates_were_searched_also_where_nothing_was_evaluated_after_it() -> None:
    review = SHAPES["whole"]()
    budgets = tuple(replace(budget, searches=4) for budget in review.comparison.budgets)
    comparison = replace(review.comparison, budgets=budgets)
    assert "searched 4 times" in render(replace(review, comparison=comparison), [])


def test_seeds_of_weights_say_their_split_and_repeat() -> None:
    table = pd.DataFrame({"seed": ["5", "5"], "split_seed": ["0", "1"], "repeat": ["0", "0"]})
    assert _seeds_named(table)["seed"].tolist() == ["5, split 0", "5, split 1"]


def test_partial_results_are_called_so() -> None:
    assert "Partial." in Reader(page("running")).said("strong")
    assert "Partial." not in Reader(page("small")).said("strong")


def test_how_it_was_done() -> None:
    reader = Reader(page("small"))
    cells = " ".join(reader.said("td")).replace("\N{NO-BREAK SPACE}", " ")
    assert all(value in cells for value in PROVENANCE.values())
    assert "trials = 20, sampler = tpe, seed = 0" in cells
    assert reader.said("pre") == ["gatelab launch spec.yaml --name made-again", SPEC.strip()]
    assert "k = " in cells and "gamma = " in cells


def test_without_a_record_of_it_the_page_says_so() -> None:
    review = small()
    text = render(replace(review, record=replace(review.record, spec="")), [])
    assert '<details class="spec">' not in text and "no specification" in text


def test_every_metric_of_selection_has_a_meaning() -> None:
    usage = usage_of(torch.tensor([[[0.5, 0.5]], [[0.9, 0.1]]]), 1)
    assert set(usage_metrics(usage, [0, 1], [{0}, {1}])) <= set(MEANINGS)
    said = Reader(page("small")).said("dt")
    assert {"entropy", "jaccard_gap", "seed_agreement"} <= set(said)
    assert "at_most_k" not in said, "which this sweep does not have"


def test_the_page_says_what_a_reader_must_know_of_the_data() -> None:
    review = small()
    run = review.record.run
    assert run is not None
    tags = {**run.tags, "warnings": "One target drowns the others."}
    runs = (replace(run, tags=tags), *(r for r in review.record.runs if r is not run))
    told = replace(review, record=replace(review.record, runs=runs))
    assert "<li>One target drowns the others.</li>" in render(told, [])


def test_what_a_metric_means_has_no_backticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANINGS, "entropy", "of an example, as `torch` has it")
    text = render(small(), [])
    assert "<dt>entropy</dt><dd>of an example, as <code>torch</code> has it</dd>" in text


def test_many_warnings_leave_the_figures_on_the_first_screen() -> None:
    review = small()
    run, *others = review.record.runs
    warnings = [f"Class `{letter}` is rare." for letter in "uvwxyz"]
    tags = {**run.tags, "warnings": "\n".join(warnings)}
    record = replace(review.record, runs=(replace(run, tags=tags), *others))
    shown, _, folded = render(replace(review, record=record), []).partition("What it rests on")
    assert re.findall(r"Class <code>(.)</code> is rare", shown) == ["u", "v", "w"]
    assert re.findall(r"Class <code>(.)</code> is rare", folded) == ["x", "y", "z"]


def test_the_page_says_what_could_not_be_read() -> None:
    review = small()
    page = render(replace(review, record=replace(review.record, unread="/elsewhere")), [])
    assert "cannot be read from here: they lie in /elsewhere." in page
    assert "cannot be read" not in render(review, [])


def test_a_gate_whose_weights_alone_are_gone_is_said() -> None:
    review = made(["softmax", "top_k", "constant"], 2, seeds=2)
    others = review.weights[review.weights["gate"] != "softmax"]
    told = [render(replace(review, weights=it), []) for it in (review.weights, others)]
    assert ["No weights of" in page for page in told] == [False, True]
    (line,) = without_weights(review.record, {"top_k"})
    assert line.startswith("No weights of softmax are shown: weights.csv of its run in made is not")
    assert not list(without_weights(review.record, set())), "a figure says that there are none"
