"""A report's figures and tables are files, too."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
from made_reviews import MADE, REASON, made, small

from gatelab.results.figures.catalogue import all_figures
from gatelab.results.report.files import write_report
from tests.drawn import page


def test_every_figure_and_table_is_a_file(tmp_path: Path) -> None:
    review = small()
    written = write_report(review, tmp_path)
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    names = {path.relative_to(tmp_path).as_posix() for path in written}
    plates = [plate.name for plate in all_figures(review)]
    assert {f"figures/{name}.svg" for name in plates} == {n for n in names if n.endswith(".svg")}
    roots = [ElementTree.parse(path).getroot() for path in written if path.suffix == ".svg"]
    assert {root.tag for root in roots} == {"{http://www.w3.org/2000/svg}svg"}
    assert all("background: white" in root.attrib["style"] for root in roots)
    frame = pd.read_csv(tmp_path / "tables" / "scores.csv")
    pd.testing.assert_frame_equal(frame, review.comparison.to_frame())
    tables = {name: pd.read_csv(tmp_path / "tables" / f"{name}.csv") for name in TABLES}
    assert {f"tables/{name}.csv" for name in TABLES} == {n for n in names if n.endswith(".csv")}
    assert len(tables["pairs"]) == 3 and {"low", "p_holm", "smallest"} <= set(tables["pairs"])
    assert tables["budgets"]["finished"].sum() == (review.trials["end"] == "finished").sum()
    assert len(tables["costs"]) == 3 * 4 * 5
    assert len(tables["targets"]) == 3 * 5 * 2 * 2, "gates, seeds, targets, loss and accuracy"
    assert set(tables["selected"]["gate"]) == set(MADE)
    assert (tmp_path / "report.html").read_text() == page("small")


TABLES = (
    *("scores", "pairs", "budgets", "selected", "costs", "trials", "curves", "weights"),
    *("importance", "targets", "tuning"),
)


def test_failures_are_a_table_and_what_is_missing_is_no_file(tmp_path: Path) -> None:
    review = made(running=True, dead=["top_k"])
    names = {path.name for path in write_report(review, tmp_path)}
    assert names == {
        "report.html",
        "search.svg",
        "slices.svg",
        "budgets.csv",
        "failures.csv",
        "trials.csv",
        "tuning.csv",
    }
    failures = pd.read_csv(tmp_path / "tables" / "failures.csv")
    assert failures.to_dict("records") == [{"gate": "top_k", "reason": REASON, "trials": 20}]
