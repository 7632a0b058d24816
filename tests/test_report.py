"""What a reader of a report asks first: the answer on one screen, and under which conditions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_reviews import made, many_gates, small
from playwright.sync_api import Browser, Page

from gatelab.results.comparison import compare_runs
from gatelab.results.report.conditions_grid import duration, store_shown, without_folders
from gatelab.results.report.files import write_report
from gatelab.results.report.page import render
from gatelab.results.report.page_grids import cost_grids, pair_grids
from gatelab.results.review import Review
from tests.drawn import page

BEGUN = 1_795_773_600.0
"""2026-11-27 10:00 UTC."""


def told(**params: str) -> Review:
    """Return a small review whose sweep began and ended, and has params."""
    review = small()
    run = review.record.run
    assert run is not None
    run_ = replace(run, params={**run.params, **params}, started=BEGUN, ended=BEGUN + 5400)
    runs = (run_, *(r for r in review.record.runs if r is not run))
    return replace(review, record=replace(review.record, runs=runs))


def test_the_head_says_when_how_long_on_what_and_where() -> None:
    params = {"targets": "2 multiclass targets", "rows.train": "8000", "rows.val": "1000"}
    text = render(told(**params, **{"rows.test": "500"}), [])
    head = re.findall(r"<span>([^<]*)</span>", text[: text.index("</header>")])
    assert head == [
        *("2026-11-27 10:00 UTC", "1.5 h", "2 multiclass targets"),
        *("8,000 train / 1,000 val / 500 test rows", "Linux x86_64, 2 CPUs"),
    ]
    assert "<header>" in render(small(), []), "what is not recorded is not said"
    assert "None" not in render(small(), [])


def test_durations_have_a_unit() -> None:
    assert [duration(s) for s in (0.123, 59, 90, 5400, 200_000)] == [
        *("0.12 s", "59 s", "1.5 min", "1.5 h", "2.31 d")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("traceback in /home/me/runs/x/traceback.txt", "traceback in traceback.txt"),
        ("traceback in runs/x-000/traceback.txt.", "traceback in traceback.txt."),
        *(
            (
                f"1 × x; traceback in {folder}sweeps/a/tracebacks/b-trial-000/traceback.txt; y",
                "1 × x; traceback in sweeps/a/tracebacks/b-trial-000/traceback.txt; y",
            )
            for folder in ("/home/me/runs/", "gatelab_runs/", "")
        ),
        ("path: /data/my-tables/a.csv\nk: 2", "path: a.csv\nk: 2"),
        ("(~/code/mine.py:12)", "(mine.py:12)"),
        (r"C:\Users\me\a.csv", "a.csv"),
        (
            "https://host/a/b/c and test/mean/r2 and 3 / 4",
            "https://host/a/b/c and test/mean/r2 and 3 / 4",
        ),
        ("10/20/30 finished", "10/20/30 finished"),
    ],
)
def test_folders_of_this_machine_are_left_out(text: str, expected: str) -> None:
    assert without_folders(text) == expected


def test_no_path_of_this_machine_is_in_the_page() -> None:
    review = made(dead=["top_k"])
    spec = "task: {name: table, path: /home/me/secret/a.csv}\n"
    why = "no trial finished; traceback in /home/me/secret/traceback.txt"
    runs = tuple(
        replace(run, tags={**run.tags, "end.reason": why})
        if (run.stage, run.gate) == ("gate", "top_k")
        else run
        for run in review.record.runs
    )
    record = replace(review.record, runs=runs, spec=spec, uri="sqlite:////home/me/secret/mlflow.db")
    text = render(replace(review, record=record, comparison=compare_runs(record)), [])
    assert "secret" not in text and "traceback.txt" in text and "a.csv" in text
    assert "mlflow.db (SQLite)" in text
    assert store_shown("https://host/mlflow") == "https://host/mlflow"
    assert store_shown("file:///home/me/secret/mlruns") == "mlruns"


def test_columns_say_what_they_are() -> None:
    (pairs,) = pair_grids(small().comparison)
    assert pairs.columns[2:6] == ("p, paired t", "p, Wilcoxon", "p, sign flips", "p, Welch")
    review = small()
    (costs,) = cost_grids(review.comparison, review.record)
    assert costs.columns == [
        *("gate", "training in all", "training seconds a seed", "parameters of the gates"),
        *("parameters in all", "active parameters"),
    ]
    seconds = [
        r.metrics.get("time/train_seconds", 0) for r in review.record.of("evaluate", "top_k")
    ]
    row = next(row for row in costs.rows if row[0] == "top_k")
    assert row[1] == duration(sum(seconds))


def test_tables_are_folded_and_figures_say_above_how_to_read_them() -> None:
    text = page("small")
    for found in re.finditer("<table>", text):
        before = text[: found.start()]
        open_folds = before.count("<details") - before.count("</details>")
        assert open_folds == 1 or "How it was done" in before[before.rindex("<h2") :]
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) > 8
    assert all(f.index("<figcaption>") < f.index("<svg") for f in figures)
    first = text[: text.index('<section id="predictive')]
    assert first.count("<figure") == 2 and "<table" not in first


@pytest.mark.slow
def test_a_report_of_sixteen_gates_is_small(tmp_path: Path) -> None:
    written = write_report(many_gates(), tmp_path)
    assert written[0].stat().st_size < 1_000_000


def opened(browser: Browser, folder: Path, width: int, height: int) -> Page:
    (folder / "report.html").write_text(page("small"))
    found = browser.new_page(viewport={"width": width, "height": height})
    found.goto((folder / "report.html").as_uri())
    return found


BOTTOMS = """[...document.querySelectorAll("#verdict .answer, #verdict figure svg")]
  .map(it => it.getBoundingClientRect().bottom)"""


@pytest.mark.slow
def test_one_screen_answers(browser: Browser, tmp_path: Path) -> None:
    seen = opened(browser, tmp_path, 1400, 900)
    bottoms = seen.evaluate(BOTTOMS)
    assert len(bottoms) == 3 and max(bottoms) < 900
    seen.close()


NEAREST = """[...document.querySelectorAll("main section:not(#verdict) figure")].map(f => {
  const caption = f.querySelector("figcaption").getBoundingClientRect();
  const own = f.querySelector("svg").getBoundingClientRect().top - caption.bottom;
  const before = f.previousElementSibling.getBoundingClientRect().bottom;
  return [own, caption.top - before]; })"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 390])
def test_captions_stand_nearer_to_their_own_figure(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    seen = opened(browser, tmp_path, width, 900)
    gaps = seen.evaluate(NEAREST)
    assert len(gaps) > 8 and all(own * 2 < other for own, other in gaps), gaps
    seen.close()


@pytest.mark.slow
def test_on_a_phone_tables_scroll_in_their_frame(browser: Browser, tmp_path: Path) -> None:
    seen = opened(browser, tmp_path, 390, 844)
    seen.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true; })")
    assert seen.evaluate("document.documentElement.scrollWidth") == 390
    wide = "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > 390)"
    assert seen.evaluate(f"{wide}.length") > 0
    framed = "t => { const f = t.closest('.scroll'); return f.scrollWidth > f.clientWidth; }"
    assert seen.evaluate(f"{wide}.every({framed})")
    seen.close()


@pytest.mark.slow
def test_on_a_phone_long_names_are_broken(browser: Browser, tmp_path: Path) -> None:
    """A headline with a label of 37 letters once was cut at the right."""
    review = made(["a" * 37, "b" * 60])
    (tmp_path / "report.html").write_text(render(review, []))
    seen = browser.new_page(viewport={"width": 390, "height": 844})
    seen.goto((tmp_path / "report.html").as_uri())
    assert seen.evaluate("document.documentElement.scrollWidth") == 390
    cut = "[...document.querySelectorAll('p, li')].filter(it => it.scrollWidth > it.clientWidth)"
    assert seen.evaluate(f"{cut}.length") == 0
    seen.close()


def test_a_report_of_a_table_asks_for_its_file() -> None:
    review = small()
    asked = "Which gate serves synthetic_groups best?"
    assert asked in render(review, [])
    runs = tuple(
        replace(
            run,
            tags={**run.tags, "task": "table"},
            params={**run.params, "task.path": "data/people.csv"},
        )
        for run in review.record.runs
    )
    record = replace(review.record, runs=runs)
    text = render(replace(review, record=record, comparison=compare_runs(record)), [])
    assert "Which gate serves people.csv best?" in text
    assert "<title>made: gates on people.csv</title>" in text
