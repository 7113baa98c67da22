"""What a newcomer sees, in a real browser: sign up, open the mail, confirm, unsubscribe. No script anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.service import Service, eventually
from tests.support.visitors import DESKTOP, PATIENCE, PHONE


@pytest.fixture
def at_home(make_service: Callable[..., Service]) -> Service:
    """What `make run` starts: SQLite, and mail kept on this machine."""
    service = make_service("sqlite")
    return Service(
        {**service.environ, "NEWSLETTER_SMTP_URL": "", "NEWSLETTER_BASE_URL": "http://127.0.0.1"},
        service.sink,
    )


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def _fits(page: Page) -> None:
    """Nothing sticks out at the sides."""
    assert page.locator("html").bounding_box()["width"] <= page.viewport_size["width"]  # type: ignore[index]
    assert page.get_by_role("heading", level=1).count() == 1


def test_a_newcomer_signs_up_opens_the_mail_confirms_and_leaves(at_home: Service, page: Page) -> None:
    with at_home.served("--workers", "1") as url:
        page.goto(url)
        _fits(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("Your Daily News in Just 5 Minutes!")
        page.get_by_label("Your email address").first.fill("ann@gmial.com")
        page.get_by_role("button", name="Sign up").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Check your inbox")
        page.get_by_role("button", name="Yes, use ann@gmail.com").click()
        expect(page.get_by_role("link", name="Open Gmail")).to_be_visible()
        _fits(page)

        _open_mail(page, url, "ann@gmail.com")
        page.goto(_link_in_mail(page, "Confirm my subscription"))
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You’re in")
        assert at_home.states()["ann@gmail.com"] == "confirmed"

        _open_mail(page, url, "ann@gmail.com")
        page.goto(_link_in_mail(page, "Don’t email me again"))
        expect(page.locator("body")).to_contain_text("a•••@gmail.com")
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("unsubscribed")
        # Where the database is slow, that is done a moment later.
        states = {"ann@gmial.com": "pending", "ann@gmail.com": "unsubscribed"}
        eventually(lambda: at_home.states() == states)


def _open_mail(page: Page, url: str, address: str) -> None:
    entry = page.get_by_role("link").filter(has_text="Please confirm").filter(has_text=address)
    for _ in range(PATIENCE // 250):
        page.goto(f"{url}/mailbox")
        if entry.count():
            break
        page.wait_for_timeout(250)
    with page.expect_navigation():
        entry.first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Please confirm: Daily News")


def _link_in_mail(page: Page, name: str) -> str:
    """Where a link in the mail's sandboxed frame leads: in a new tab, as the frame itself goes nowhere."""
    frame = page.frame_locator("iframe")
    expect(frame.locator("base")).to_have_attribute("target", "_blank")
    link = frame.get_by_role("link", name=name)
    expect(link).to_be_visible()
    href = link.get_attribute("href")
    assert href
    return href


def test_a_mistake_is_shown_beside_the_field_and_nothing_is_lost(at_home: Service, page: Page) -> None:
    with at_home.served("--workers", "1") as url:
        page.goto(f"{url}/lists/daily")
        page.get_by_label("Your email address").fill("ann@")
        page.get_by_label("Your name").fill("Ann")
        page.keyboard.press("Enter")

        field = page.get_by_label("Your email address")
        expect(field).to_have_value("ann@")
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Your name")).to_have_value("Ann")
        _fits(page)


def test_the_form_is_filled_and_sent_by_keyboard_alone(at_home: Service, page: Page) -> None:
    with at_home.served("--workers", "1") as url:
        page.goto(url)
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.locator("input[name=email]:focus").count():
                break
        page.keyboard.type("jörg@example.org")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Check your inbox")
    assert at_home.states() == {"jörg@example.org": "pending"}
