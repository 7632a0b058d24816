"""A figure as an element of a page."""

from __future__ import annotations

import html
import io
import re

from matplotlib.figure import Figure

from gatelab.results.figures.style import INK, lay_out

JOINS = "stroke-linejoin: round; stroke-linecap: butt"


def svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an SVG element that takes on the page's text colour.

    Args:
        figure: What to write.
        name: Unique in the page; the element's ids begin with it.
        label: What a reader who does not see is told.
    """
    lay_out(figure)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = _lean(text[text.index("<svg") :])
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    told = f'<svg role="img" aria-label="{html.escape(label)}" style="{JOINS}"'
    text = text.replace("<svg", told, 1)
    return re.sub(re.escape(INK), "currentColor", text, flags=re.IGNORECASE)


def alone(element: str) -> str:
    """Return an element as a file of its own: black on white, whatever page shows it."""
    style = "color: black; background: white; font-family: sans-serif"
    return element.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1).replace(
        'style="', f'style="{style}; ', 1
    )


def _lean(text: str) -> str:
    """Return matplotlib's SVG without what a page does not need, half as long."""
    text = re.sub(r"<(metadata|style).*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(<(?:g|image)\b[^>]*?) id="[^"]*"', r"\1", text)  # to which nothing refers
    text = re.sub(r"\n\s*", "", text)
    return re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, text)


def _rounded(attribute: re.Match[str]) -> str:
    """Return coordinates to a tenth of a point; a cell's size, which all rows multiply, exactly."""
    digits = 4 if "matrix(" in attribute[0] else 1
    return re.sub(r"\d+\.\d{2,}", lambda n: f"{round(float(n[0]), digits):g}", attribute[0])
