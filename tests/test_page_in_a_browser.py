"""The page of a report as a browser shows and prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_reviews import made
from playwright.sync_api import Browser, Page

from gatelab.results.figures.catalogue import all_figures
from gatelab.results.report.page import render
from tests.drawn import page

A4 = 680
"""Pixels of the lines of a printed page: 210 mm but for its margins of 15."""


def shown(browser: Browser, folder: Path, shape: str, width: int, scheme: str) -> Page:
    (folder / "report.html").write_text(page(shape))
    opened = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=True,
    )
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((folder / "report.html").as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [opened.url]
    return opened


CONTRAST = """selector => {
  const channels = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(c => {
    const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
  const light = color => { const [r, g, b] = channels(color);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
  const page = light(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll(selector)].map(element => {
    const style = getComputedStyle(element);
    const ink = light(element instanceof SVGElement ? style.fill : style.color);
    return Math.max(page, ink) / Math.min(page, ink); });
}"""


LETTERS = """[...document.querySelectorAll("figure svg")].map(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const sizes = [...svg.querySelectorAll("text")].map(
    text => parseFloat(getComputedStyle(text).fontSize));
  return scale * Math.min(...sizes); })"""
"""The smallest letters of each figure, in pixels of the screen."""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 700, 390])
@pytest.mark.parametrize("shape", ["small", "many_gates", "many_targets"])
def test_in_a_browser_nothing_sticks_out_and_all_text_has_contrast(
    browser: Browser, tmp_path: Path, shape: str, width: int, scheme: str
) -> None:
    opened = shown(browser, tmp_path, shape, width, scheme)
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    ratios = opened.evaluate(CONTRAST, "p, li, td, th, caption, figcaption, dt, dd, a, pre")
    ratios += opened.evaluate(CONTRAST, "svg text[style*='fill: currentColor']")
    assert len(ratios) > 100 and min(ratios) > 4.5
    wide = "[...document.querySelectorAll('svg')].filter(s => s.clientWidth > innerWidth)"
    assert opened.evaluate(f"{wide}.every(s => s.closest('.scroll'))")
    assert min(opened.evaluate(LETTERS)) > 8, "pixels: on a phone too"
    opened.close()


@pytest.mark.slow
def test_in_print_the_page_is_light_and_the_spec_open(browser: Browser, tmp_path: Path) -> None:
    opened = shown(browser, tmp_path, "small", 700, "dark")
    folded = "[...document.querySelectorAll('details pre, details table')]"
    visible = f"{folded}.every(it => it.checkVisibility())"
    assert not opened.evaluate(visible)
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate(visible)
    body = "getComputedStyle(document.body).backgroundColor"
    assert opened.evaluate(body) == "rgb(255, 255, 255)"
    assert opened.pdf(format="A4").startswith(b"%PDF")
    opened.close()


LETTER = 247
"""Millimetres of a printed page of letter paper, the shorter of the two, without its margins."""
TITLE = 20
"""Of a section, with the room above and below."""
HEIGHTS = """selector => [...document.querySelectorAll(selector)].map(
  it => it.getBoundingClientRect().height * 25.4 / 96)"""
KEPT = """selector => [...document.querySelectorAll(selector)].map(
  it => getComputedStyle(it).breakInside)"""
WRAPPED = """[...document.querySelectorAll("[aria-label='Test metrics'] td.right")].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lines = [...range.getClientRects()].map(line => line.bottom);
  return Math.max(...lines) - Math.min(...lines) > 6;
}).map(cell => cell.textContent)"""
"""The scores that stand in more than one line."""


@pytest.mark.slow
def test_in_print_a_figure_stands_under_its_sentence_and_a_table_under_its_head(
    browser: Browser,
) -> None:
    """The tallest figure, with all that is said of it and its section's title, needs a page."""
    review = made([f"gate_{i}" for i in range(9)], targets=12)
    tallest = [plate for plate in all_figures(review) if plate.name == "weights"]
    opened = browser.new_page(viewport={"width": A4, "height": 900})
    opened.emulate_media(media="print")
    opened.set_content(render(review, tallest))
    (height,) = opened.evaluate(HEIGHTS, "#weights")
    assert LETTER / 2 < height < LETTER - TITLE
    assert set(opened.evaluate(KEPT, "figure, table")) == {"avoid"}
    opened.close()


LONG_NAME = "income_of_the_whole_household_in_thousands_of_euro_{}"
BEYOND = """[...document.querySelectorAll("th, td")].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getBoundingClientRect().right > innerWidth;
}).map(cell => cell.textContent)"""
"""The cells of which a part lies right of the page."""


@pytest.mark.slow
@pytest.mark.parametrize("gates", [5, 12])
def test_in_print_no_table_is_cut_whatever_the_names(browser: Browser, gates: int) -> None:
    review = made([f"dselect_k_of_a_rather_long_name_{i}" for i in range(gates)], targets=4)
    text = render(review, [])
    for target in range(4):
        text = text.replace(f"target_{target}", LONG_NAME.format(target))
    opened = browser.new_page(viewport={"width": A4, "height": 900})
    opened.emulate_media(media="print")
    opened.set_content(text)
    assert opened.locator("td").count() > 100
    assert opened.evaluate(BEYOND) == []
    assert opened.evaluate(WRAPPED) == []
    opened.close()
