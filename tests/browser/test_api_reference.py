"""The page that describes the API: nothing of it is wider than a phone, and what folds unfolds."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.test_accessibility import is_clean
from tests.support.embedding import Embedded
from tests.support.visitors import PHONE


def test_it_is_read_on_a_phone_without_script(embedded: Embedded, visit: Callable[..., Page]) -> None:
    page = visit(f"{embedded.url}/api/v1/", size=PHONE, script=False)

    assert page.locator("article").count() > 30
    widths = page.locator("html").evaluate("node => [node.scrollWidth, node.clientWidth]")
    assert widths[0] <= widths[1]


def test_its_contents_lead_to_each_call_and_answers_unfold(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit(f"{embedded.url}/api/v1/")
    page.get_by_role("navigation", name="Calls").get_by_role("link", name="Make a list").click()
    call = page.get_by_role("article", name="Make a list")
    expect(call.get_by_role("heading", name="Make a list")).to_be_in_viewport()

    expect(call.get_by_text("curl -X POST")).to_be_visible()
    call.get_by_text("Answer 201").click()
    expect(call.locator("details").get_by_text("return_urls").first).to_be_visible()
    for details in page.locator("details").all():
        details.evaluate("node => node.open = true")
    is_clean(page)
