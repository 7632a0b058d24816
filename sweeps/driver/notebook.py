"""A part of a notebook's output that is written again and again."""

from __future__ import annotations

import io
import time
from typing import Any

from rich.console import Console, RenderableType

REFRESH_SECONDS = 0.5
VIEW_WIDTH = 100
"""Characters of a line."""
PRE = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


class NotebookView:
    """Shows what it was given last, twice a second at most: without widgets of a server's."""

    def __init__(self) -> None:
        """Take a place in the output of the cell that runs."""
        from IPython.display import HTML, display  # here: only a notebook has it

        self._html: Any = HTML
        self._handle: Any = display(HTML(""), display_id=True)
        self._shown = float("-inf")

    def show(self, what: RenderableType, *, now: bool = False) -> None:
        """Show something, unless what stands there is new; ``now``: in any case."""
        if not now and time.monotonic() - self._shown < REFRESH_SECONDS:
            return
        self._shown = time.monotonic()
        self._handle.update(self._html(as_html(what)))


def as_html(what: RenderableType) -> str:
    """Return as HTML what a terminal would show."""
    console = Console(
        record=True, width=VIEW_WIDTH, file=io.StringIO(), force_terminal=True, force_jupyter=False
    )
    console.print(what)
    return console.export_html(inline_styles=True, code_format=PRE)
