"""A report as files: a page, every figure and every table."""

from __future__ import annotations

from pathlib import Path

from gatelab.durable import write_settled
from gatelab.results.figures.catalogue import all_figures
from gatelab.results.figures.inline import alone
from gatelab.results.report.data_tables import data_tables
from gatelab.results.report.page import draw, render
from gatelab.results.review import Review
from gatelab.tracking.schema import Artifacts


def write_report(review: Review, folder: str | Path) -> list[Path]:
    """Write ``report.html``, ``figures/*.svg`` and ``tables/*.csv``; return what was written.

    Figures and tables that have nothing to show are not written; the page says why. What another
    call left in the folder is overwritten, or stays.
    """
    folder = Path(folder)
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    plates = all_figures(review)
    drawings = draw(plates)
    page = folder / Artifacts.REPORT
    write_settled(page, render(review, plates, drawings))
    written = [page]
    for name, drawing in drawings.items():
        written.append(folder / "figures" / f"{name}.svg")
        write_settled(written[-1], alone(drawing))
    for name, frame in data_tables(review).items():
        written.append(folder / "tables" / f"{name}.csv")
        write_settled(written[-1], frame.to_csv(index=False))
    return written
