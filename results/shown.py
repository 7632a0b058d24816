"""A comparison as Python and notebooks show it."""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gatelab.registry import near_misses
from gatelab.results.comparison import Comparison
from gatelab.results.comparison.score_grids import score_grid
from gatelab.results.comparison.tables import BOLD, Grid
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.schema import Metrics

if TYPE_CHECKING:
    import pandas as pd

    from gatelab.results.figures.scores import Figure


NUMBER_STYLES = {"th": "text-align: right", "td": "text-align: right; white-space: nowrap"}
"""How a notebook sets a number, and what stands above it, which may be broken."""


class ShownComparison(Comparison):
    """What ``launch``, ``resume`` and ``compare`` return: a comparison that shows itself."""

    @classmethod
    def of(cls, comparison: Comparison) -> ShownComparison:
        """Return the same comparison."""
        return cls(**{one.name: getattr(comparison, one.name) for one in fields(Comparison)})

    def __repr__(self) -> str:
        """Return a line: the sweep, its task, and the answer."""
        return f"<{self.sweep} on {self.task}: {self.verdict.partition(chr(10))[0]}>"

    def _repr_html_(self) -> str:
        """Return the answer and the table, for a notebook."""
        answer, *others = (html.escape(line) for line in self.verdict.splitlines())
        more = "".join(f"<li>{line}</li>" for line in others)
        grid = _by_gate(self)
        folded = f"<details><summary>what it rests on</summary><ul>{more}</ul></details>"
        return (
            f"<p><b>{answer}</b></p>{_html_table(grid)}"
            f"<p><small>{html.escape(grid.caption)}</small></p>{folded if more else ''}"
        )

    @property
    def verdict(self) -> str:
        """The answer in words, a sentence a line, by the test loss; the first says it."""
        return "\n".join(sentences(self))

    def table(self) -> pd.DataFrame:
        """Return the table of scores and budgets as the terminal has it: a row a gate, in texts."""
        import pandas as pd  # here: it takes a third of a second

        grid = _by_gate(self)
        names = [BOLD.sub(r"\1", row[0]) for row in grid.rows]
        cells = [[BOLD.sub(r"\1", cell) for cell in row[1:]] for row in grid.rows]
        index = pd.Index(names, name="gate")
        return pd.DataFrame(cells, index=index, columns=list(grid.columns[1:]))

    def plot(self, metric: str = Metrics.TEST_LOSS) -> Figure:
        """Draw a metric by gate: each seed, the mean and its interval.

        Args:
            metric: Its key, one of :meth:`metrics`.

        Raises:
            LookupError: If no gate has the metric.
        """
        from gatelab.results.figures.scores import (
            score_panels,  # here: matplotlib takes a second to import
        )

        known = self.metrics()
        if metric not in known:
            raise LookupError(f"no gate has a {metric!r}; {near_misses(metric, known)}")
        _show_figures_as_pictures()
        figure = score_panels(self, asked=[metric])
        assert figure is not None
        return figure

    def best(self, gate: str) -> dict[str, Any]:
        """Return a gate's best configuration: what its search selected, by the spec's names.

        Args:
            gate: Its name in the spec.

        Raises:
            LookupError: If there is no such gate, or nothing was selected.
        """
        if gate not in self.gates:
            raise LookupError(f"no gate {gate!r} in {self.sweep}; {near_misses(gate, self.gates)}")
        if gate not in self.configurations:
            why = "it is not searched, or no trial of it finished"
            raise LookupError(f"{gate} has no configuration: {why}.")
        return {name: _read(text) for name, text in self.configurations[gate].items()}


def _by_gate(comparison: Comparison) -> Grid:
    """Return the table of scores and budgets, a row a gate."""
    grid = score_grid(comparison)
    return grid if grid.columns[0] == "gate" else grid.turned("gate")


def _html_table(grid: Grid) -> str:
    """Return a table with what is bold; pandas' own has no bold cell, and breaks its numbers."""
    rows = [_html_row("td", row) for row in grid.rows]
    head = f"<thead>{_html_row('th', grid.columns)}</thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    first, *others = (BOLD.sub(r"<b>\1</b>", html.escape(cell)) for cell in cells)
    numbers = "".join(f'<{tag} style="{NUMBER_STYLES[tag]}">{cell}</{tag}>' for cell in others)
    return f'<tr><{tag} style="text-align: left">{first}</{tag}>{numbers}</tr>'


def _show_figures_as_pictures() -> None:
    """Let a notebook show figures, which it does by itself only once pyplot is imported."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython
    from IPython.core.pylabtools import select_figure_formats

    shell = get_ipython()
    if shell is not None:
        select_figure_formats(shell, {"png"})


def _read(text: str) -> Any:
    """Return a parameter of MLflow's, which holds texts, as a spec has it."""
    if text == "None":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(text, text)
