"""The page with the code to copy: each form works where it is shown, and where it is pasted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.embedding import Corner, Embedded
from tests.support.visitors import PAGES, form_on, sign_up

SNIPPETS = {"element": "snippet-element", "frame": "snippet-frame", "form": "snippet-plain"}


def test_each_form_is_shown_at_work(embedded: Embedded, visit: Callable[..., Page], email: str) -> None:
    page = visit(f"{embedded.url}/lists/daily/embed")
    element, frame = form_on(page, "element"), form_on(page, "frame")

    sign_up(element, f"element-{email}")
    sign_up(frame, f"frame-{email}")
    expect(element.get_by_role("heading", name="Check your inbox")).to_be_visible()
    expect(frame.get_by_role("heading", name="Check your inbox")).to_be_visible()
    sign_up(page.get_by_role("region", name="The plain form"), f"form-{email}")
    expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()

    for embed in PAGES:
        assert embedded.state_of(f"{embed}-{email}") == "pending"


@pytest.mark.parametrize("embed", PAGES)
def test_what_is_copied_works_where_it_is_pasted(
    embedded: Embedded, visit: Callable[..., Page], elsewhere: Corner, email: str, embed: str
) -> None:
    page = visit(f"{embedded.url}/lists/daily/embed", permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("window.setTimeout = () => 0")  # what the button says is not taken back
    page.locator(f"[data-copy={SNIPPETS[embed]}]").click()
    expect(page.locator(f"[data-copy={SNIPPETS[embed]}]")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(f"#{SNIPPETS[embed]}").text_content()

    page.goto(elsewhere.put(copied))
    form = form_on(page, embed)
    if embed == "frame":
        expect(page.locator("iframe")).to_have_css("border-top-width", "0px")  # as it is shown
    sign_up(form, email)

    where = page if embed == "form" else form
    expect(where.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert embedded.state_of(email) == "pending"


def test_without_a_clipboard_the_code_is_selected_instead(
    embedded: Embedded, visit: Callable[..., Page]
) -> None:
    page = visit(f"{embedded.url}/lists/daily/embed")
    page.evaluate("delete Navigator.prototype.clipboard")  # as on a page without https

    page.locator("[data-copy=snippet-plain]").click()

    assert page.evaluate("String(getSelection())").strip().startswith("<form")
