"""axe-core finds no violation on any page with a form, in any state of it, by day and by night."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.axe import found_by_axe
from tests.support.embedding import Embedded
from tests.support.visitors import PAGES, PHONE, form_on, sign_up


def is_clean(page: Page) -> None:
    """By day and by night; what frames of ours show is looked at as well."""
    page.wait_for_load_state()
    frames = [frame for frame in page.frames[1:] if "/embed/" in frame.url or "/lists/" in frame.url]
    assert found_by_axe(page, frames) == []


@pytest.mark.parametrize(
    "path", ["/", "/lists/daily", "/embed/daily", "/lists/daily/embed", "/embed/none", "/api/v1/"]
)
def test_pages_of_the_service(embedded: Embedded, visit: Callable[..., Page], path: str) -> None:
    page = visit(embedded.url + path, size=PHONE)
    page.wait_for_load_state("networkidle")

    is_clean(page)


@pytest.mark.parametrize("path", ["/", "/form", "/frame", "/thanks"])
def test_pages_of_the_newspaper(embedded: Embedded, visit: Callable[..., Page], path: str) -> None:
    page = visit(embedded.newspaper + path)
    page.wait_for_load_state("networkidle")

    is_clean(page)


@pytest.mark.parametrize("embed", ["element", "frame"])
def test_an_embed_with_a_mistake_after_a_sign_up_and_confirmed(
    embedded: Embedded, visit: Callable[..., Page], email: str, embed: str
) -> None:
    page = visit(embedded.newspaper + PAGES[embed])
    form = form_on(page, embed)

    sign_up(form, "ann@")
    expect(form.locator("[aria-invalid=true]")).to_be_visible()
    is_clean(page)
    sign_up(form, email)
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    is_clean(page)
    form.get_by_role("textbox", name="six-digit code").fill(embedded.code_for(email))
    form.get_by_role("button", name="Confirm").click()
    expect(form.get_by_role("heading", name="You’re in")).to_be_visible()
    is_clean(page)


def test_the_page_that_says_check_your_inbox(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{embedded.url}/lists/daily")
    sign_up(page.locator("form"), email.replace("example.org", "gmial.com"))  # with a suggestion
    expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()

    is_clean(page)


@pytest.mark.parametrize("embed", ["form", "frame"])
def test_the_further_step(
    strict: Embedded, crowded: str, visit: Callable[..., Page], email: str, embed: str
) -> None:
    page = visit(network=crowded)
    page.route("**/step.js*", lambda route: route.abort())  # or it would be gone at once

    page.goto(strict.newspaper + PAGES[embed])
    sign_up(form_on(page, embed), email)

    where = page if embed == "form" else form_on(page, embed)
    expect(where.get_by_role("heading", name="One more step")).to_be_visible()
    is_clean(page)
