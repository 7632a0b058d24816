"""MLflow's dashboard on a sweep, in a real browser: what a reader looks for is there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.verdict import leading
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests.commands import gatelab

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on this machine: apt install it"),
]

GATES = ("dselect_k", "top_k", "softmax")
PATIENCE = 20_000
"""Milliseconds until a page that is still being drawn is one that will not be."""
SCREENSHOTS = os.environ.get("GATELAB_SCREENSHOTS")
# MLflow's own complaints, which say nothing of a sweep.
NOISE = (
    r"/users/current",  # who is logged in: a server without logins does not know
    r"/presigned-download-url",  # a store on a disk has none: MLflow then sends the file itself
    r"ResizeObserver loop",  # a layout that took two frames
)
# Where this machine keeps artifacts is nobody's business.
HIDE_PATHS = """() => {
    for (const element of document.querySelectorAll("*"))
        if (/^Path:/.test(element.textContent) && element.children.length < 3)
            element.style.visibility = "hidden"
}"""


@dataclass(frozen=True)
class Shown:
    """A finished sweep and its dashboard."""

    record: SweepRecord
    pages: dict[str, str]
    """The addresses that `gatelab ui` prints, by their names."""

    @property
    def page(self) -> str:
        """The address of the sweep's page."""
        return self.pages["Dashboard"]

    @property
    def experiment(self) -> str:
        """The address of the experiment's runs."""
        return re.sub(r"/runs/\w+", "/runs", self.page)

    @property
    def verdict(self) -> str:
        return leading(compare_runs(self.record))[-1]


@pytest.fixture(scope="module")
def shown(small_sweep: Path) -> Iterator[Shown]:
    record = read_sweep(default_uri(small_sweep / FOLDER), "small")
    process = gatelab(small_sweep, "ui")
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0].startswith("Dashboard: http://127.0.0.1:"), lines
        pages = {line.partition(":")[0]: line.split()[1] for line in lines}
        yield Shown(record, pages)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, shown: Shown) -> Iterator[Page]:
    """A page of a reader who was never here; what it complains of fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda m: complaints.append(f"{m.text} {m.location['url']}") if m.type == "error" else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    ours = [line for line in complaints if not any(re.search(noise, line) for noise in NOISE)]
    assert not ours


def keep(page: Page, name: str) -> None:
    """Write a screenshot for the documentation where that is asked for."""
    if SCREENSHOTS:
        page.evaluate("document.activeElement.blur()")
        page.evaluate(HIDE_PATHS)
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)  # pictures fade in
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", animations="disabled")


def close_assistant(page: Page) -> None:
    """Close what MLflow opens at the right for a reader who was never here."""
    panel = page.get_by_placeholder("Ask a question...")
    expect(panel).to_be_visible()
    page.get_by_role("button", name="Close", exact=True).click()
    expect(panel).to_be_hidden()


def row(page: Page, part: str, run_id: str) -> str:
    """Return the selector of a run's row in a part of the table."""
    return f".ag-{part}-cols-container [row-id='{run_id}']"


def expand(page: Page, run_id: str) -> None:
    page.locator(row(page, "pinned-left", run_id)).get_by_role("button").first.click()


def test_the_address_leads_to_the_sweep_and_its_verdict(page: Page, shown: Shown) -> None:
    """A reader who was never here sees it at once, though the assistant takes a third."""
    page.goto(shown.page)
    expect(page.get_by_role("heading", name="small", exact=True)).to_be_visible()
    expect(page.get_by_placeholder("Ask a question...")).to_be_visible()
    answer = page.get_by_test_id("note-view-outer-container").locator("strong").first
    expect(answer).to_have_text(shown.verdict)
    expect(answer).to_be_in_viewport()
    expect(page.get_by_role("link", name="test/loss", exact=True)).to_be_visible()
    for gate in GATES:
        expect(page.get_by_role("link", name=gate, exact=True).first).to_be_visible()
    keep(page, "sweep")
    page.get_by_text("Show more").first.click()
    picture = page.get_by_test_id("note-view-outer-container").locator("img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 300


def test_a_page_shows_few_tags_who_ran_it_and_the_data(page: Page, shown: Shown) -> None:
    page.goto(shown.page)
    expect(page.get_by_text("verdict", exact=True)).to_be_visible()
    for hidden in ("version.torch", "gatelab.identity", "metrics.higher", "machine.cpus"):
        expect(page.get_by_text(hidden)).to_have_count(0)
    expect(page.get_by_text(f"gatelab {version('gatelab')}")).to_be_visible()
    expect(page.get_by_text(re.compile("^synthetic_groups \\("))).to_be_visible()


def test_the_gates_are_a_table_with_numbers_the_best_first(page: Page, shown: Shown) -> None:
    page.goto(shown.pages["Gates"])
    losses = {run.gate: run.metrics["test/loss"] for run in shown.record.of("gate")}
    for run in shown.record.of("gate"):
        cells = page.locator(row(page, "center", run.run_id))
        for key in ("test/loss", "gate/experts_per_row", "search/epochs"):
            value = f"{run.metrics[key]:.10g}"[:4]  # MLflow cuts, and does not round
            expect(cells.locator(f"[col-id='metrics.`{key}`']")).to_contain_text(value)
    best = page.locator(".ag-pinned-left-cols-container [row-index='0']")
    expect(best).to_contain_text(re.compile(f"small|{min(losses, key=losses.__getitem__)}"))
    keep(page, "experiment")


def test_runs_nest_in_the_experiment(page: Page, shown: Shown) -> None:
    assert shown.record.run is not None
    page.goto(shown.experiment)
    expect(page.get_by_role("link", name="small", exact=True).nth(1)).to_be_visible()
    expect(page.get_by_role("link", name="top_k", exact=True)).to_be_hidden()
    expand(page, shown.record.run.run_id)
    expect(page.get_by_role("link", name="top_k", exact=True)).to_be_visible()
    (gate,) = shown.record.of("gate", "top_k")
    expand(page, gate.run_id)
    expect(page.get_by_role("link", name="top_k-seed-000", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="top_k-trial-000", exact=True)).to_be_visible()


def test_the_report_is_read_in_its_frame_and_downloaded(page: Page, shown: Shown) -> None:
    page.goto(shown.pages["Report"])
    report = page.frame_locator("iframe.mlflow-html-iframe").locator("body")
    expect(report).to_contain_text(shown.verdict)
    close_assistant(page)
    keep(page, "report")
    with page.expect_download() as download:
        page.locator("button[data-component-id*='artifactview']").click()
    text = download.value.path().read_text()
    assert text.lower().startswith("<!doctype html>") and "</html>" in text


def test_links_within_the_report_work_in_its_frame(page: Page, shown: Shown) -> None:
    """MLflow's frame is a sandbox, where the browser refuses a plain link to a part of the page."""
    page.goto(shown.pages["Report"])
    report = page.frame_locator("iframe.mlflow-html-iframe").locator("body")
    report.get_by_role("link", name="Cost", exact=True).click()
    expect(report.get_by_role("heading", name="Cost", exact=True)).to_be_in_viewport()


def test_a_gate_shows_its_scores_and_its_heatmap(page: Page, shown: Shown) -> None:
    page.goto(shown.page)
    page.get_by_role("link", name="dselect_k", exact=True).first.click()
    expect(page.get_by_role("heading", name="dselect_k")).to_be_visible()
    for metric in ("test/loss", "gate/experts_per_example"):
        expect(page.get_by_role("link", name=metric, exact=True)).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_label(re.compile(r"\.png$")).first.click()
    heatmap = page.get_by_role("img", name=re.compile(r"\.png$")).first
    expect(heatmap).to_be_visible()
    assert heatmap.evaluate("image => image.naturalWidth") > 300
    keep(page, "gate")
