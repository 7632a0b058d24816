"""Colours of figures: a gate has one everywhere, and every reader tells them apart."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from made_reviews import MADE
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gatelab.results.figures.heat import BLUE, WHITE_ABOVE, heat
from gatelab.results.figures.style import COLORS, WIDTH, grid, looks
from tests.drawn import figure, plates


def colours(drawn: Figure) -> dict[str, set[str]]:
    """Return the colours of everything in a figure that bears a gate's name."""
    found: dict[str, set[str]] = {}
    for axes in drawn.axes:
        named = [(line.get_label(), line) for line in axes.lines]
        named += [(axes.get_title(loc="left"), line) for line in axes.lines]
        for label, line in named:
            if str(label) in MADE:
                found.setdefault(str(label), set()).add(to_hex(line.get_color()))
        if (gate := axes.get_title(loc="left")) in MADE:
            found.setdefault(gate, set()).update(to_hex(p.get_facecolor()) for p in axes.patches)
    return found


def test_a_gate_has_one_colour_in_all_figures() -> None:
    for name in ("curves", "experts_per_example", "weight_change", "load", "search"):
        found = colours(figure("small", name))
        assert found == {gate: {look.color} for gate, look in looks(MADE).items()}, name
    for name in ("scores", "cost"):
        axes = figure("small", name).axes[0]
        rows = [label.get_text() for label in axes.get_yticklabels()]
        for line in (line for line in axes.lines if line.get_marker() != "None"):
            mark, row = line.get_marker(), round(float(np.mean(np.asarray(line.get_ydata()))))
            look = looks(MADE)[rows[row]]
            assert (line.get_color(), mark) in [(look.color, look.marker), (look.color, ".")]
    for axes in figure("small", "slices").axes:
        gate = axes.get_title(loc="left")
        assert {line.get_markeredgecolor() for line in axes.lines} == {looks(MADE)[gate].color}


@pytest.mark.parametrize("shape", ["small", "many_targets"])
def test_captions_hold_on_a_page_of_any_colour(shape: str) -> None:
    """A cell of a heatmap that is dark on a white page is the brightest on a black one."""
    said = [plate.caption + plate.note for plate in plates(shape).values()]
    assert len(said) > 10 and any("blue" in text for text in said)
    by_page = r"(?i)\b(dark|light|pale|bright|black|white)(er|est)?\b"
    assert not [text for text in said if re.search(by_page, text)]


def test_looks_follow_from_names_and_differ() -> None:
    assert looks(["b", "a"]) == {gate: looks(["a", "b"])[gate] for gate in ("b", "a")}
    assert looks(["softmax"])["softmax"] == looks(MADE)["softmax"]
    many = looks([f"gate{i}" for i in range(16)])
    assert len({(look.color, look.marker) for look in many.values()}) == 16
    assert len({look.color for look in looks([f"g{i}" for i in range(len(COLORS))]).values()}) == 7


# What a reader with full, without red, green and blue cones sees of linear RGB: Machado, Oliveira
# and Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009.
SIGHTS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    ]
)
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str | np.ndarray) -> np.ndarray:
    hexadecimal = str(colour).lstrip("#")
    rgb = (
        colour
        if isinstance(colour, np.ndarray)
        else np.frombuffer(bytes.fromhex(hexadecimal), np.uint8) / 255
    )
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(XYZ @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(first: np.ndarray, second: np.ndarray) -> float:
    low, high = sorted(0.05 + float(linear(colour) @ XYZ[1]) for colour in (first, second))
    return high / low


def rgb(colour: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(colour.lstrip("#")), np.uint8) / 255


PAGES = {"#ffffff": "#1b1d21", "#16181c": "#e3e5e8"}
"""The page's colours in the template, and the ink on them."""


def test_colours_are_told_apart_by_every_reader() -> None:
    for sight in SIGHTS:
        seen = [lab(sight @ linear(colour)) for colour in COLORS]
        apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
        assert min(apart) > 15.9
    for colour in COLORS:
        assert contrast(rgb(colour), rgb("#ffffff")) > 2.2
        assert contrast(rgb(colour), rgb("#16181c")) > 2.5


@pytest.mark.parametrize("page", PAGES)
def test_numbers_in_a_heatmap_can_be_read(page: str) -> None:
    for share in np.linspace(0, 1, 101):
        cell = share * np.array(BLUE) + (1 - share) * rgb(page)
        ink = rgb("#ffffff") if share > WHITE_ABOVE else rgb(PAGES[page])
        assert contrast(cell, ink) > 4, share


def test_a_heatmap_says_zero_and_one_only_where_they_are() -> None:
    _, (axes,) = grid(1, 1, WIDTH, 3.0)
    heat(axes, np.array([[0, 1e-4, 0.5, 0.999, 1]]), 1.0, numbers=True)
    assert [text.get_text() for text in axes.texts] == ["0", ".00", ".50", "1.00", "1"]
    assert [text.get_color() for text in axes.texts][-1] == "white"
