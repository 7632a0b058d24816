"""MLflow's dashboard on a sweep, in a real browser: what a reader looks for is there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.mlflow_store import default_uri
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER
from tests.commands import gatelab

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on this machine: apt install it"),
]

GATES = ("dselect_k", "top_k", "softmax")
TRAINING = "workflowType=machine_learning"
PATIENCE = 20_000
"""Milliseconds until a page that is still being drawn is one that will not be."""
SCREENSHOTS = os.environ.get("GATELAB_SCREENSHOTS")
# MLflow's own complaints, which say nothing of a sweep.
NOISE = (
    r"/users/current",  # who is logged in: a server without logins does not know
    r"/presigned-download-url",  # a store on a disk has none: MLflow then sends the file itself
    r"ResizeObserver loop",  # a layout that took two frames
)
# What a browser keeps of a reader who was here before: MLflow's assistant, which opens itself on a
# first visit and narrows every page, is closed, and "Model training" chosen over "GenAI".
KEPT = [
    {"name": "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "value": "true"},
    {"name": "mlflow.workflowType_v1", "value": '"machine_learning"'},
]


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
    page: str
    """The address that `gatelab ui` prints."""

    @property
    def front(self) -> str:
        return self.page.partition("/#")[0]

    @property
    def experiment(self) -> str:
        """The address of the experiment's runs."""
        return re.sub(r"/runs/\w+", "/runs", self.page)

    @property
    def verdict(self) -> str:
        said = sentences(compare_runs(self.record))
        return next(line for line in said if "lowest test loss" in line)


@pytest.fixture(scope="module")
def shown(small_sweep: Path) -> Iterator[Shown]:
    record = read_sweep(default_uri(small_sweep / FOLDER), "small")
    process = gatelab(small_sweep, "ui")
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Dashboard: http://127.0.0.1:"), line + process.stdout.read()
        yield Shown(record, line.split()[1])
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
    """A page of a reader who was here before; what it complains of fails the test."""
    context = browser.new_context(
        viewport={"width": 1400, "height": 900},
        storage_state={"origins": [{"origin": shown.front, "localStorage": KEPT}]},
    )
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


def choose_columns(page: Page, *names: str) -> None:
    page.get_by_test_id("column-selection-dropdown").first.click()
    tree = page.get_by_test_id("column-selector-tree")
    for name in names:
        page.get_by_placeholder("Search columns").fill(name)
        title = re.compile(f"^{re.escape(name)}$")
        tree.locator("[class*=tree-title]").filter(has_text=title).last.click()  # tags come last
    page.keyboard.press("Escape")


def row(page: Page, part: str, run_id: str) -> str:
    """Return the selector of a run's row in a part of the table."""
    return f".ag-{part}-cols-container [row-id='{run_id}']"


def expand(page: Page, run_id: str) -> None:
    page.locator(row(page, "pinned-left", run_id)).get_by_role("button").first.click()


def test_the_address_leads_to_the_sweep_and_its_verdict(page: Page, shown: Shown) -> None:
    page.goto(shown.page)
    expect(page.get_by_role("heading", name="small", exact=True)).to_be_visible()
    expect(page.get_by_test_id("note-view-outer-container").first).to_contain_text(shown.verdict)
    for gate in GATES:
        expect(page.get_by_role("link", name=gate, exact=True).first).to_be_visible()
    page.get_by_text("Show more").first.click()
    keep(page, "sweep")


def test_runs_nest_in_the_experiment_and_show_chosen_columns(page: Page, shown: Shown) -> None:
    assert shown.record.run is not None
    page.goto(shown.experiment)
    expect(page.get_by_role("link", name="small", exact=True).nth(1)).to_be_visible()
    expect(page.get_by_role("link", name="top_k", exact=True)).to_be_hidden()
    expand(page, shown.record.run.run_id)
    expect(page.get_by_role("link", name="top_k", exact=True)).to_be_visible()
    choose_columns(page, "Dataset", "Source", "Models")  # away, for ours to have room
    choose_columns(page, "objective", "gate/experts_per_example", "gate", "stage")
    (gate,) = shown.record.of("gate", "top_k")
    cells = page.locator(row(page, "center", gate.run_id))
    expect(cells.locator("[col-id='tags.`gate`']")).to_have_text("top_k")
    expect(cells.locator("[col-id='tags.`stage`']")).to_have_text("gate")
    for key in ("objective", "gate/experts_per_example"):
        value = f"{gate.metrics[key]:.10g}"[:4]  # MLflow cuts, and does not round
        expect(cells.locator(f"[col-id='metrics.`{key}`']")).to_contain_text(value)
    keep(page, "experiment")
    expand(page, gate.run_id)
    expect(page.get_by_role("link", name="top_k-seed-000", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="top_k-trial-000", exact=True)).to_be_visible()


def test_the_report_is_read_in_its_frame_and_downloaded(page: Page, shown: Shown) -> None:
    page.goto(shown.page)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_label("report.html", exact=True).click()
    report = page.frame_locator("iframe.mlflow-html-iframe").locator("body")
    expect(report).to_contain_text(shown.verdict)
    keep(page, "report")
    with page.expect_download() as download:
        page.locator("button[data-component-id*='artifactview']").click()
    text = download.value.path().read_text()
    assert text.lower().startswith("<!doctype html>") and "</html>" in text


def test_links_within_the_report_work_in_its_frame(page: Page, shown: Shown) -> None:
    """MLflow's frame is a sandbox, where the browser refuses a plain link to a part of the page."""
    page.goto(shown.page)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_label("report.html", exact=True).click()
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


def test_selected_gates_are_compared_in_parallel_coordinates(page: Page, shown: Shown) -> None:
    wanted = quote("tags.sweep = 'small' and tags.stage = 'gate'")
    by_loss = quote("metrics.`test/loss`")  # in any order but the runs' own, none hides in another
    page.goto(f"{shown.experiment}&searchFilter={wanted}&orderByKey={by_loss}&orderByAsc=true")
    for gate in GATES:
        expect(page.get_by_role("link", name=gate, exact=True)).to_be_visible()
    page.get_by_role("checkbox", name="Select all runs").check()
    page.get_by_test_id("runs-compare-button").click()
    expect(page.get_by_text("Comparing 3 Runs from 1 Experiment")).to_be_visible()
    expect(page.get_by_role("tab", name="Parallel Coordinates Plot")).to_be_visible()
    page.get_by_role("combobox").nth(1).click(force=True)  # below what is selected already
    page.locator("[class*=select-item][title='test/loss']").click()
    page.keyboard.press("Escape")
    for axis in ("gate", "test/loss"):
        title = re.compile(f"^{axis}$")
        expect(page.locator(".parcoords .axis-title").filter(has_text=title)).to_be_visible()
    keep(page, "compare")


def test_a_link_compares_the_gates_at_once(page: Page, shown: Shown) -> None:
    assert shown.record.run is not None
    runs = ",".join(f'"{run.run_id}"' for run in shown.record.of("gate"))
    experiment = re.search(r"experiments/(\d+)", shown.page)
    assert experiment
    experiments = f'"{experiment.group(1)}"'
    page.goto(
        f"{shown.front}/#/compare-runs?runs={quote(f'[{runs}]')}"
        f"&experiments={quote(f'[{experiments}]')}&{TRAINING}"
    )
    expect(page.get_by_text("Comparing 3 Runs from 1 Experiment")).to_be_visible()
    expect(page.locator(".parcoords")).to_be_visible()
