"""The subscriber's own page, as its readers use it: by phone, without scripts, from right to left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_accessibility import is_clean
from tests.support.embedding import Embedded
from tests.support.service import path
from tests.support.visitors import PHONE, fresh_address


@pytest.fixture
def reader(embedded: Embedded, email: str) -> str:
    """Somebody whose subscription is confirmed."""
    service = embedded.service
    service.sign_up(email)
    service.client.post(path(embedded.mail_to(email).link("confirm")))
    assert embedded.state_of(email) == "confirmed"
    return email


def whole_page(embedded: Embedded, email: str) -> str:
    """The link that somebody gets who asks for it."""
    embedded.service.client.post("/unsubscribe", data={"email": email})
    return embedded.mail_to(email, 2).link("manage")


def test_pausing_and_leaving_from_the_foot_of_a_mail_without_scripts(
    embedded: Embedded, visit: Callable[..., Page], reader: str
) -> None:
    page = visit(embedded.mail_to(reader).link("manage"), size=PHONE, script=False)

    page.get_by_text("Pause", exact=True).click()
    page.get_by_role("button", name="Pause until then").click()
    expect(page.get_by_role("status")).to_contain_text("Paused")
    page.get_by_role("button", name="End the pause of Daily News").click()
    expect(page.get_by_role("status")).to_contain_text("The pause is over")
    page.get_by_role("button", name="Unsubscribe from Daily News").click()
    expect(page.get_by_role("status")).to_contain_text("won’t be sent to you any more")
    assert embedded.state_of(reader) == "unsubscribed"


def test_a_new_address_and_back_again(embedded: Embedded, visit: Callable[..., Page], reader: str) -> None:
    new = fresh_address()
    page = visit(whole_page(embedded, reader))

    page.get_by_label("Your new email address").fill(new)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()
    page.goto(embedded.mail_to(new).link("new-address"))
    page.get_by_role("button", name="Use this address").click()
    expect(page.get_by_role("heading", name="Your address is changed")).to_be_visible()
    assert (embedded.state_of(reader), embedded.state_of(new)) == (None, "confirmed")
    page.goto(embedded.mail_to(reader, 3).link("not-me"))
    page.get_by_role("button", name="Keep my address as it is").click()
    expect(page.get_by_role("heading", name="Your address is as it was")).to_be_visible()
    assert (embedded.state_of(reader), embedded.state_of(new)) == ("confirmed", None)


def test_erasing_asks_once_more(embedded: Embedded, visit: Callable[..., Page], reader: str) -> None:
    page = visit(whole_page(embedded, reader))

    page.get_by_role("button", name="Erase everything").click()
    expect(page.get_by_role("link", name="Keep it")).to_be_visible()
    is_clean(page)
    page.get_by_role("link", name="Keep it").click()
    expect(page.get_by_role("heading", name="Your subscriptions")).to_be_visible()
    page.get_by_role("button", name="Erase everything").click()
    expect(page.get_by_role("link", name="Keep it")).to_be_visible()
    page.get_by_role("button", name="Erase everything").click()
    expect(page.get_by_role("heading", name="Everything is erased")).to_be_visible()
    is_clean(page)
    assert embedded.state_of(reader) is None


def test_the_pages_are_clean_and_nothing_sticks_out_in_arabic(
    embedded: Embedded, visit: Callable[..., Page], reader: str
) -> None:
    foot, whole = embedded.mail_to(reader).link("manage"), whole_page(embedded, reader)
    page = visit(size=PHONE)

    for link in (foot, whole, whole[:-1]):
        page.goto(f"{link}?locale=ar")
        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        is_clean(page)
    page.goto(whole)
    page.locator("summary").click()
    page.get_by_label("Your new email address").fill("ann@")
    page.get_by_role("button", name="Change it").click()
    expect(page.locator("[aria-invalid=true]")).to_be_focused()
    is_clean(page)
