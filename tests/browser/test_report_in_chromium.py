"""The report as a reader sees it, in a real browser: at a desk and on a phone, in both languages, offline."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caodiem import report
from caodiem.report.words import catalogue
from tests.browser import chromium
from tests.report.small_run import add_level, add_verdict, make_run, make_whole, paused

pytestmark = chromium.NEEDED
WIDTHS = (1280, 390)
# Boxes that cut off their own text; what scrolls by itself, or is hidden for the eye on purpose, may be wider inside.
CLIPPED = """
return [...document.querySelectorAll('article *')]
  .filter(e => e.checkVisibility() && e.clientWidth > 1 && getComputedStyle(e).display !== 'inline')
  .filter(e => !e.closest('.scroll, .inputs thead') && e.scrollWidth > e.clientWidth + 1)
  .map(e => e.tagName + ' ' + e.className + ': ' + e.textContent.trim().slice(0, 60))
"""
# Cells' texts that stick out of their cells, also inside tables that scroll.
STICKING_OUT = """
return [...document.querySelectorAll('article th, article td, article dd, article .badge strong')]
  .filter(e => e.checkVisibility()).filter(e => {
    const range = document.createRange(); range.selectNodeContents(e);
    const text = range.getBoundingClientRect(), box = e.getBoundingClientRect();
    return box.width > 1 && (text.right > box.right + 1 || text.bottom > box.bottom + 1); })
  .map(e => e.textContent.trim().slice(0, 60))
"""
# Blocks of an article that lie over one another.
OVERLAPPING = """
const found = [];
for (const parent of document.querySelectorAll('article, article section, article header, .answer')) {
  const boxes = [...parent.children].filter(e => e.checkVisibility()).map(e => [e, e.getBoundingClientRect()]);
  for (let i = 1; i < boxes.length; i++) {
    const [element, box] = boxes[i];
    if (box.height && box.top < boxes[i - 1][1].bottom - 1) found.push(element.outerHTML.slice(0, 80));
  }
}
return found
"""
VISIBLE_TEXTS = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  const english = parent.closest('[lang]').lang === 'en';
  if (node.data.trim() && parent.checkVisibility() && !english && !parent.closest('code, script'))
    found.push(node.data.trim());
}
return found
"""
BROKEN_IMAGES = """
return [...document.images].filter(e => e.checkVisibility() && !(e.complete && e.naturalWidth > 100)).map(e => e.alt)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = chromium.start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.build(make_whole(tmp_path_factory.mktemp("whole"))).resolve()


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The longest report: a level that stalled, one that was never replayed, warnings and gaps said."""
    run = make_run(tmp_path_factory.mktemp("stalled"))
    add_level(run, 43.0, replayed=paused(8.0, 13.0))
    add_level(run, 85.0, replayed=None)
    add_verdict(run, {43.0: ["fail", "pass"]}, "invalid")
    return report.build(run).resolve()


def show(browser: Any, path: Path, width: int, language: str) -> None:
    phone = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get(path.as_uri())
    browser.find_element("css selector", f"label[for=choose-{language}]").click()
    browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    chromium.keep_picture(browser, f"{path.parent.name[:8]}-{path.parents[1].name}-{width}-{language}")


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("which", ["whole", "stalled"])
def test_nothing_is_cut_off_or_overlaps(
    browser: Any, request: pytest.FixtureRequest, which: str, width: int, language: str
) -> None:
    show(browser, request.getfixturevalue(which), width, language)
    root = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert root[0] <= root[1] == width
    for script in (CLIPPED, STICKING_OUT, OVERLAPPING, BROKEN_IMAGES):
        assert browser.execute_script(script) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_shape_of_the_plots_fits_the_screen(browser: Any, whole: Path, width: int) -> None:
    show(browser, whole, width, "vi")
    tall = "return [...document.images].filter(e => e.checkVisibility()).map(e => e.naturalHeight / e.naturalWidth)"
    shapes = browser.execute_script(tall)
    assert len(shapes) == 5
    assert min(shapes) > 0.7 if width == 390 else max(shapes) < 0.7


@pytest.mark.parametrize("which", ["whole", "stalled"])
def test_vietnamese_shows_no_english(browser: Any, request: pytest.FixtureRequest, which: str) -> None:
    show(browser, request.getfixturevalue(which), 390, "vi")
    shown = browser.execute_script(VISIBLE_TEXTS)
    assert len(shown) > 100
    texts = [each["en"] for each in catalogue().values() if each["en"] != each["vi"]]
    # What is filled in may be anything; a text of braces alone says nothing.
    patterns = [re.sub(r"\\\{\w+\\\}", ".*", re.escape(text)) for text in texts if re.sub(r"\{\w+\}|\W", "", text)]
    english = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    assert [text for text in shown if english.fullmatch(text)] == []


def test_the_choice_is_remembered_and_said(browser: Any, whole: Path) -> None:
    show(browser, whole, 1280, "vi")
    browser.refresh()
    said = browser.execute_script("return [document.documentElement.lang, document.title]")
    assert said == ["vi", "Từ 43% lên 85% hồ sơ trực tuyến"]
    assert browser.find_element("css selector", "article[lang=vi]").is_displayed()
    assert not browser.find_element("css selector", "article[lang=en]").is_displayed()


def test_the_browsers_language_is_the_first_choice(browser: Any, whole: Path) -> None:
    show(browser, whole, 1280, "en")
    browser.execute_script("localStorage.clear()")
    agent = browser.execute_script("return navigator.userAgent")
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": "vi-VN"})
    browser.get(whole.as_uri())
    assert browser.execute_script("return document.documentElement.lang") == "vi"
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": "en"})


def test_without_scripts_english_is_shown_and_can_be_switched(browser: Any, whole: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(whole.as_uri())
        english, vietnamese = (browser.find_element("css selector", f"article[lang={each}]") for each in ("en", "vi"))
        assert english.is_displayed() and not vietnamese.is_displayed()
        browser.find_element("css selector", "label[for=choose-vi]").click()
        assert vietnamese.is_displayed() and not english.is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_nothing_is_fetched_and_nothing_is_complained_of(browser: Any, whole: Path) -> None:
    browser.get_log("performance"), browser.get_log("browser")
    show(browser, whole, 1280, "en")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith(("file:", "data:"))] == []
    assert browser.get_log("browser") == []
