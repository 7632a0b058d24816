"""The documentation as a site: it is built without a warning, and its tutorial can be followed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import in_process
from tests.commands import ROOT
from tests.test_docs import blocks

PACKAGES = ("gates", "nn", "results", "sweeps", "tasks", "tracking", "training")


@pytest.mark.slow
def test_every_page_is_built(tmp_path: Path) -> None:
    """Strictly: a link that leads nowhere, or a name that is none, is an error."""
    links = tmp_path / "links" / "gatelab"
    links.mkdir(parents=True)
    for path in (*(ROOT / "gatelab").glob("*.py"), *(ROOT / name for name in PACKAGES)):
        (links / path.name).symlink_to(path)
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "[build/links]" in settings
    settings = settings.replace("[build/links]", f"[{links.parent}]")
    settings = settings.replace("docs/roles.py", str(ROOT / "docs" / "roles.py"))
    (tmp_path / "mkdocs.yml").write_text(f"{settings}docs_dir: {ROOT / 'docs'}\n")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path / "site"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert all((tmp_path / "site" / page.with_suffix(".html")).exists() for page in pages)
    reference = (tmp_path / "site" / "reference" / "python.html").read_text()
    assert "Comparison" in reference and "SpecError" in reference, "docstrings are there"
    assert not [p for p in (tmp_path / "site").rglob("*.html") if ":class:" in p.read_text()]


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in contents] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's own
def test_the_tutorial_from_its_first_line_to_its_last(place: Path) -> None:
    """With fewer trials, epochs and seeds, which is all that is changed; jobs run here."""
    ((_, table),) = [block for block in blocks("python") if block[0] == "tutorial.md"]
    commands = [text for page, text in blocks("console") if page == "tutorial.md"]
    lines = [line.partition("#")[0].split()[1:] for line in "".join(commands).splitlines()]
    assert [words[0] for words in lines][:4] == ["new", "validate", "launch", "compare"]
    subprocess.run([sys.executable, "-c", table], cwd=place, check=True)
    for words in lines:
        said = in_process.gatelab(place, *words)
        spec = place / "flats.yaml"
        for few in ("trials: 2", "seeds: 2", "max_epochs: 2"):
            spec.write_text(re.sub(rf"{few.split()[0]} \d+", few, spec.read_text()))
        if words[0] == "new":
            assert "`rooms` has 6 integers; `kinds: {rooms: category}`?" in said
    assert (place / "predicted.csv").read_text().startswith('"rent",')
