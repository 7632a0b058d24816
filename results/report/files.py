"""A report as files: a page, every figure and every table."""

from __future__ import annotations

from pathlib import Path

from gatelab.results.figures.catalogue import all_figures
from gatelab.results.figures.style import save_figure
from gatelab.results.report.data_tables import data_tables
from gatelab.results.report.page import render
from gatelab.results.review import Review
from gatelab.tracking.schema import Artifacts


def write_report(review: Review, folder: str | Path) -> list[Path]:
    """Write ``report.html``, ``figures/*.png`` and ``tables/*.csv``; return what was written.

    Figures and tables that have nothing to show are not written; the page says why. What another
    call left in the folder is overwritten, or stays.
    """
    folder = Path(folder)
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    plates = all_figures(review)
    page = folder / Artifacts.REPORT
    page.write_text(render(review, plates), encoding="utf-8")
    written = [page]
    for plate in plates:
        if plate.figure is not None:
            written.append(folder / "figures" / f"{plate.name}.png")
            save_figure(plate.figure, written[-1])
    for name, frame in data_tables(review).items():
        written.append(folder / "tables" / f"{name}.csv")
        frame.to_csv(written[-1], index=False)
    return written
