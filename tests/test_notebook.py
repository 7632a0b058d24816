"""Python as its users run it: the page on it as a process, the notebook in a real kernel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.commands import ROOT
from tests.test_docs import blocks

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]
SECONDS = 1000
"""Of two sweeps on a machine that others use too."""
NOTEBOOK = ROOT / "examples" / "python.ipynb"


def test_the_page_on_python_runs_from_its_first_line_to_its_last(place: Path) -> None:
    """In a process whose classes are of no module, with Ray's workers."""
    page = "\n".join(text for name, text in blocks("python") if name == "python.md")
    ended = subprocess.run(
        [sys.executable, "-c", page], cwd=place, capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stderr
    assert "first: under way" in ended.stdout, "progress is shown by default"
    assert re.search("sharp: trial [01] finished", ended.stdout), "a class of `-c` has trained"
    assert (place / "loss.png").stat().st_size > 5_000
    again = subprocess.run(
        [sys.executable, "-c", "from gatelab import resume; resume('own', redeliver=True)"],
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert "gate 'Sharp' was defined in a notebook or a script" in again.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
def test_the_notebook_runs_in_a_kernel(place: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(place)}},
    )
    client.execute()
    found = {cell["source"].splitlines()[0]: cell["outputs"] for cell in cell_list(notebook)}
    launched = found["comparison = launch("]
    pages = [it["data"].get("text/html", "") for it in launched if "data" in it]
    bars = [page for page in pages if "<pre" in page and "sharp" in page]
    assert len(bars) == 1 and "done" in bars[0] and "5/5" in bars[0], pages
    assert any("notebook: under way" in page for page in pages), "what was said first stays"
    assert any("warning: an epoch has 8 steps" in page for page in pages), "as do warnings"
    assert "<table" in pages[-1] and "<b>" in pages[-1], "the comparison shows itself"
    assert not [it for outputs in found.values() for it in outputs if it.get("name") == "stderr"]
    (figure,) = found["comparison.plot()"]
    assert "image/png" in figure["data"]
    (best,) = found['comparison.best("sharp")']
    assert "gate.temperature" in best["data"]["text/plain"]


def cell_list(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_kept_without_what_it_gave() -> None:
    notebook: Any = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    assert all(not cell["outputs"] for cell in cell_list(notebook))
