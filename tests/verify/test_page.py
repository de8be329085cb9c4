"""The page in a real browser: a person drops a file and reads the answer."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

from tests.verify.conftest import RunningService
from tests.verify.office import Office, Sealed, page_document

DROP = """
async ([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type: "application/pdf"}));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-background-networking"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def logged(service: RunningService, office: Office) -> Sealed:
    """A document that the running service's ledger knows."""
    sealed = office.sign(page_document(pages=5))
    service.log.publish(sealed.entry())
    return sealed


def test_a_dropped_document_gets_its_answer(browser: Browser, service: RunningService, logged: Sealed) -> None:
    page = _page(browser)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{service.url}/?lang=en")
    page.evaluate(DROP, ["合同.pdf", base64.b64encode(logged.data).decode()])
    page.wait_for_selector(".verdict")
    assert page.inner_text(".verdict-word") == "Valid"
    assert page.inner_text("h1.answer").startswith(
        "Sealed by Example Trading Ltd (Contract Seal) on 2026-06-01 11:55 UTC. Unchanged since."
    )
    assert [each.split("\n")[0] for each in page.locator(".row dt").all_inner_texts()] == ["Seal valid", "Changed since", "Authorised"]
    assert "合同.pdf" in page.inner_text(".verdict")
    assert all(each.startswith(service.url) for each in asked), "nothing comes from elsewhere"


def test_a_chosen_document_that_is_not_valid_says_why_and_what_to_do(browser: Browser, service: RunningService, office: Office) -> None:
    page = _page(browser)
    page.goto(f"{service.url}/?lang=en")
    forged = office.sign(page_document(pages=6)).data.replace(b"/MediaBox", b"/MediaBoy", 1)
    page.set_input_files("input[type=file]", [FilePayload(name="x.pdf", mimeType="application/pdf", buffer=forged)])
    page.wait_for_selector(".verdict")
    assert page.inner_text(".verdict-word") == "Not valid"
    assert "Do not rely on this copy" in page.inner_text(".way") and "NOT_INTACT" in page.inner_text(".way")


def test_without_scripts_the_form_does_the_same(browser: Browser, service: RunningService, logged: Sealed) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{service.url}/?lang=zh")
    page.set_input_files("input[type=file]", [FilePayload(name="x.pdf", mimeType="application/pdf", buffer=logged.data)])
    page.click("button[type=submit]")
    assert page.inner_text(".verdict-word") == "有效"


@pytest.mark.parametrize("look", list(itertools.product([390, 1280], ["light", "dark"], ["en", "zh"])))
def test_nothing_overflows_and_no_script_or_style_is_blocked(
    browser: Browser, service: RunningService, logged: Sealed, look: tuple[int, str, str]
) -> None:
    width, theme, language = look
    page = _page(browser, width, theme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{service.url}/?lang={language}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_input_files("input[type=file]", [FilePayload(name="x" * 150 + ".pdf", mimeType="application/pdf", buffer=logged.data)])
    page.wait_for_selector(".verdict")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(LOW_CONTRAST) == []
    assert complaints == []


LOW_CONTRAST = """
() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !element.getClientRects().length) continue;
    const [one, two] = [numbers(getComputedStyle(element).color), ground(element)].map(luminance);
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (contrast < 4.5) found.push(`${element.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
}
"""


def _page(browser: Browser, width: int = 1280, theme: str = "light") -> Page:
    return browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme).new_page()  # type: ignore[arg-type]
