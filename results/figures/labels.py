"""Names of gates and targets, and titles, which may be long: in lines that have room."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

MOST_LETTERS = 24
"""Of a line of a gate's name, the same in every figure."""
LEAST_LETTERS = 6
"""Of a line of a title, whatever its room."""
LABEL_LETTER, LINE = 0.065, 0.135
"""Inches that a letter is wide, and a line high, of names that are 8 points tall."""
TITLE_LETTER = 0.075
"""Inches of a letter of a panel's title, rather too many."""
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def wrapped(text: str, most: int = MOST_LETTERS) -> str:
    """Return a name in lines of so many letters, which end between its words where they can.

    Nothing of it is left out: names often differ only at their end, and tables have them whole.
    """
    piece = rf".{{1,{most}}}(?:(?<=[\s_/.:-])|$)|.{{1,{most}}}"
    found = [re.findall(piece, line) or [""] for line in text.split("\n")]
    return "\n".join(part.strip() for parts in found for part in parts)


def shortened(text: str) -> str:
    """Return a name in one line, without its middle where it is long."""
    if len(text) <= MOST_LETTERS:
        return text
    end = (MOST_LETTERS - 1) // 2
    return text[: MOST_LETTERS - 1 - end] + ELLIPSIS + text[-end:]


def letters(texts: Sequence[str]) -> int:
    """Return how many letters the longest line of some names has."""
    return max(_longest(wrapped(text)) for text in texts)


def lines(texts: Sequence[str], most: int = MOST_LETTERS) -> int:
    """Return how many lines the longest of some names has."""
    return max((wrapped(text, most).count("\n") + 1 for text in texts), default=1)


def more_lines(titles: Sequence[str], inches: float) -> float:
    """Return how many inches titles of panels so wide take above those of a line."""
    return LINE * (lines(titles, max(LEAST_LETTERS, int(inches / TITLE_LETTER))) - 1)


class FittedTitles(ConstrainedLayoutEngine):
    """A layout in which no title of a panel or an axis is longer than the panel's side."""

    def execute(self, fig: Figure) -> None:
        """Lay a figure out, and again where titles are long.

        These are hidden the first time: half their length would be taken from the panels.
        """
        titles = [title for axes in fig.axes for title in _titles(axes)]
        long = [it for it in titles if _longest(it.get_text()) > MOST_LETTERS]
        for title in long:
            title.set_visible(False)
        super().execute(fig)
        for title in long:
            title.set_visible(True)
        if any([_fit(axes) for axes in fig.axes]) or long:
            super().execute(fig)


def _titles(axes: Axes) -> list[Text]:
    """Return a panel's titles at the left, in the middle and at the right."""
    return [it for it in axes.get_children() if isinstance(it, Text) and it not in axes.texts]


def _fit(axes: Axes) -> bool:
    """Wrap what is written along a panel's sides to their lengths; return whether any was long."""
    box = axes.get_window_extent()
    across = [_wrap(text, box.width) for text in (*_titles(axes), axes.xaxis.label)]
    return any([*across, _wrap(axes.yaxis.label, box.height)])


def _wrap(text: Text, room: float) -> bool:
    """Wrap a title that is longer than its room, and return whether it was."""
    said, box = text.get_text(), text.get_window_extent()
    length = box.height if text.get_rotation() == 90 else box.width
    if not said or length <= room:
        return False
    text.set_text(wrapped(said, max(LEAST_LETTERS, int(_longest(said) * room / length))))
    return text.get_text() != said


def _longest(text: str) -> int:
    """Return the letters of the longest line."""
    return max(map(len, text.split("\n")))
