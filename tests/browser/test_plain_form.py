"""The plain form: it leads back to the newspaper, over the further step too, and without script (E3, A10)."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.embedding import Embedded
from tests.support.visitors import form_on, sign_up


def test_over_the_limit_a_button_goes_on_without_script_and_leads_back(
    strict: Embedded, crowded: str, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{strict.newspaper}/form", script=False, network=crowded)

    sign_up(form_on(page, "form"), email)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    assert strict.state_of(email) is None
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
    assert page.url == f"{strict.newspaper}/thanks"
    assert strict.state_of(email) == "pending"


def test_over_the_limit_the_page_goes_on_by_itself_and_leads_back(
    strict: Embedded, crowded: str, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{strict.newspaper}/form", script=True, network=crowded)

    sign_up(form_on(page, "form"), email)

    page.wait_for_url(f"{strict.newspaper}/thanks")
    assert strict.state_of(email) == "pending"


def test_without_a_registered_return_address_the_reader_stays_with_us(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{embedded.newspaper}/form")
    page.evaluate("document.querySelector('[name=next]').value = 'https://evil.example/'")

    sign_up(form_on(page, "form"), email)

    expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert page.url.startswith(embedded.url)
    assert embedded.state_of(email) == "pending"


def test_a_mistake_is_shown_on_a_page_of_ours_with_what_was_typed_and_leads_back_once_mended(
    embedded: Embedded, visit: Callable[..., Page], email: str
) -> None:
    page = visit(f"{embedded.newspaper}/form", script=False)

    sign_up(form_on(page, "form"), "ann@example")

    field = page.get_by_role("textbox", name="Your email address")
    expect(field).to_be_focused()
    expect(field).to_have_value("ann@example")
    field.fill(email)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
    assert page.url == f"{embedded.newspaper}/thanks"
    assert embedded.state_of(email) == "pending"
