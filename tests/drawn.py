"""Figures of reviews made by hand, and pages that show them, each drawn once in a process."""

from __future__ import annotations

import functools
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
from made_reviews import SHAPES
from matplotlib.figure import Figure

from gatelab.results.figures.catalogue import all_figures
from gatelab.results.figures.inline import svg
from gatelab.results.figures.plate import Plate
from gatelab.results.figures.style import save_figure
from gatelab.results.report.page import render

LARGE = ("many_gates", "whole")
"""Shapes that take long to draw: their figures are looked at where their pages are."""


@functools.cache
def plates(shape: str) -> dict[str, Plate]:
    return {plate.name: plate for plate in all_figures(SHAPES[shape]())}


@functools.cache
def page(shape: str) -> str:
    return render(SHAPES[shape](), list(plates(shape).values()))


def check_figures(shape: str, folder: Path) -> None:
    """Check that every figure is drawn as SVG and PNG."""
    for name, plate in plates(shape).items():
        assert plate.title and plate.caption.endswith("."), name
        if plate.figure is not None:
            element = svg(plate.figure, name, "a <label> & more")
            root = ElementTree.fromstring(element)
            assert (root.tag, root.get("role"), root.get("aria-label")) == (
                "svg",
                "img",
                "a <label> & more",
            )
            assert "http" not in element and "#010203" not in element
            save_figure(plate.figure, folder / "figure.png")
            assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def figure(shape: str, name: str) -> Figure:
    found = plates(shape)[name].figure
    assert found is not None
    return found


def curve(gate: str, seed: str, values: list[float], metric: str = "val/loss") -> pd.DataFrame:
    rows = [(gate, seed, epoch, metric, value) for epoch, value in enumerate(values, 1)]
    return pd.DataFrame(rows, columns=["gate", "seed", "epoch", "metric", "value"])


def trials(rows: list[tuple[str, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["end", "objective"])
    return table.assign(gate="a", repeat="0", number=range(len(table)), epoch=1)
