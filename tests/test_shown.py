"""A comparison in Python: a short line, a page in a notebook, a table, a picture, what was best."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from gatelab.results.shown import ShownComparison
from tests.compared import HIGH, LOW, MIDDLE, compared


@pytest.fixture
def shown() -> ShownComparison:
    found = compared({"<a>": LOW, "b": MIDDLE, "single": HIGH}, k="2")
    values = {"gate.k": "2", "gate.noise": "True", "optimizer.learning_rate": "0.001"}
    more = {"training.schedule": "cosine", "training.gradient_clip": "None"}
    return ShownComparison.of(replace(found, configurations={"<a>": values | more}))


def test_its_line_is_short_and_has_the_answer(shown: ShownComparison) -> None:
    assert repr(shown).startswith("<s on : <a> wins")
    assert "\n" not in repr(shown) and len(repr(shown)) < 300


def test_its_verdict_is_a_sentence_a_line(shown: ShownComparison) -> None:
    assert shown.verdict.startswith("<a> wins")
    assert len(shown.verdict.splitlines()) > 3


def test_a_notebook_has_the_answer_and_the_table_with_names_as_they_are(
    shown: ShownComparison,
) -> None:
    page = shown._repr_html_()
    assert page.startswith("<p><b>&lt;a&gt; wins")
    assert "<a>" not in page


def test_a_notebook_has_the_best_in_bold_and_no_broken_number(shown: ShownComparison) -> None:
    page = shown._repr_html_()
    assert "bold: best" in page
    whole = '<td style="text-align: right; white-space: nowrap">'
    assert f"{whole}<b>0.115 ± 0.021</b>*</td>" in page
    assert page.count("<td") == page.count(whole) + page.count("<tr>") - 1


def test_its_table_has_a_row_a_gate_whatever_the_terminals_has(shown: ShownComparison) -> None:
    """The mean of 0.10, 0.11, 0.13 and 0.12 is 0.115; t(3) 3.1824 x 0.0129 / 2 is 0.0205."""
    table = shown.table()
    assert list(table.index) == ["<a>", "b", "single (baseline)"]
    assert table.loc["<a>", "test loss"] == "0.115 ± 0.021*"
    many = compared({name: LOW for name in "abcdefg"})
    assert list(ShownComparison.of(many).table().index) == list("abcdefg")


def test_the_best_configuration_of_a_gate_has_the_specs_values(shown: ShownComparison) -> None:
    assert shown.best("<a>") == {
        "gate.k": 2,
        "gate.noise": True,
        "optimizer.learning_rate": 0.001,
        "training.schedule": "cosine",
        "training.gradient_clip": None,
    }
    with pytest.raises(LookupError, match="no gate 'singel' in s; did you mean 'single'"):
        shown.best("singel")
    with pytest.raises(LookupError, match="single has no configuration: it is not searched"):
        shown.best("single")


def test_its_picture_is_of_the_metric_that_is_asked_for(shown: ShownComparison) -> None:
    (axes,) = shown.plot().axes
    assert axes.get_xlabel() == "test loss" or axes.get_title() == "test loss"
    assert len(axes.get_yticklabels()) == 3
    with pytest.raises(LookupError, match="no gate has a 'test/los'; did you mean 'test/loss'"):
        shown.plot("test/los")


def test_to_compare_draws_nothing() -> None:
    """Matplotlib takes a second to import."""
    code = "import sys, gatelab.results.comparing; print('matplotlib' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
