"""The page in a browser: charts are drawn, nothing is logged as an error, and it fits phones, keyboards and dark rooms."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.reporting.page.document import make_page
from tests.search.reporting.page.test_document import finished

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(make_page(finished()), encoding="utf-8")
    return path.as_uri()


def open_page(browser: Any, address: str, problems: list[str], **options: Any) -> Any:
    page = browser.new_context(**options).new_page()
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    page.goto(address, wait_until="load")
    return page


def draw_all(page: Any) -> None:
    """Open all parts of the page, scroll through it, and wait until every chart is drawn."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    for chart in page.query_selector_all(".chart"):
        chart.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelectorAll('.chart:not([data-drawn])').length === 0", timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_without_an_error_and_without_a_request(
    scheme: str, width: int, browser: Any, address: str
) -> None:
    problems: list[str] = []
    page = open_page(browser, address, problems, color_scheme=scheme, viewport={"width": width, "height": 844})
    draw_all(page)
    assert problems == []
    assert page.evaluate("document.querySelectorAll('.chart .main-svg').length") >= 20
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink = page.evaluate("getComputedStyle(document.querySelector('.chart .xtick text')).fill")
    assert ink == ("rgb(35, 39, 46)" if scheme == "light" else "rgb(223, 227, 232)")
    page.context.close()


def test_the_page_can_be_used_by_keyboard(browser: Any, address: str) -> None:
    page = open_page(browser, address, [])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#answer"
    page.focus("#theme")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.focus("#trials table.sortable thead th:nth-child(2) button")
    page.keyboard.press("Enter")
    values = page.evaluate(
        "[...document.querySelectorAll('#trials table.sortable tbody tr')].map(r => +r.children[1].textContent)"
    )
    assert values == sorted(values)
    assert page.get_attribute("#trials table.sortable thead th:nth-child(2)", "aria-sort") == "ascending"
    page.context.close()
