"""An owner and the webhooks of a list, in a real browser: with script and without, on a phone and on a desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_accessibility import is_clean
from tests.support.operators import PASSWORD, invite
from tests.support.receiver import Receiver, answer, ok, receiving
from tests.support.service import Service, eventually, path
from tests.support.visitors import DESKTOP, PHONE, Visits
from tests.support.webhooks import statuses


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service("sqlite", NEWSLETTER_WEBHOOKS_TO_PRIVATE="on")


@pytest.fixture
def served(service: Service) -> Iterator[str]:
    with service.served("--workers", "1") as url:
        yield url


@pytest.fixture
def open_console(browser: Browser, service: Service, served: str) -> Iterator[Callable[..., Page]]:
    """Opens the webhooks of the list `daily` for an owner. Afterwards no browser has complained of anything."""
    visits = Visits(browser)

    def open_it(*, size: tuple[int, int], script: bool = True) -> Page:
        page = visits(served + path(invite(service, "owner@example.org")), size=size, script=script)
        page.get_by_label("Password").fill(PASSWORD)
        with page.expect_navigation():
            page.get_by_role("button", name="Set the password").click()
        page.goto(f"{served}/operator/lists/daily/webhooks")
        return page

    yield open_it
    for context in visits.contexts:
        context.close()
    assert visits.complaints == []


def _add(page: Page, url: str) -> None:
    page.get_by_role("textbox", name="Address").fill(url)
    page.get_by_role("button", name="Add it").click()


@pytest.mark.parametrize(("size", "script"), [(DESKTOP, True), (PHONE, False)])
def test_an_owner_adds_a_webhook_tests_it_and_removes_it(
    open_console: Callable[..., Page], service: Service, size: tuple[int, int], script: bool
) -> None:
    page = open_console(size=size, script=script)
    with receiving() as receiver:
        _add(page, "https://169.254.169.254/")
        expect(page.get_by_role("alert")).to_contain_text("This address cannot be used")
        _add(page, receiver.url)
        page.locator("#secret").click()  # which selects all of it, for copying
        secret = page.evaluate("getSelection().toString()")
        page.get_by_role("link", name="I have copied it").click()
        page.get_by_role("button", name="Send a test message").click()
        expect(page.get_by_role("status")).to_contain_text("on its way")
        eventually(lambda: receiver.told)
        assert receiver.told[0].is_signed_with(secret)
        eventually(lambda: statuses(service) == ["sent"])
        if not script:
            page.reload()
        # With script, the log shows it by itself.
        expect(page.locator("#log")).to_contain_text("arrived")
        page.get_by_role("button", name="Send again").click()
        eventually(lambda: len(receiver.told) == 2)

        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("heading", name="Remove this webhook?")).to_be_visible()
        page.get_by_role("button", name="Remove it").click()
        expect(page.get_by_text("No webhook yet.")).to_be_visible()


def _fits(page: Page) -> None:
    """Nothing but a table's own region has to be pushed sideways."""
    page.wait_for_load_state()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    is_clean(page)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_every_page_is_accessible_by_day_and_by_night(
    open_console: Callable[..., Page], service: Service, size: tuple[int, int]
) -> None:
    page = open_console(size=size)
    _fits(page)
    _add(page, "https://example.org/#x")
    _fits(page)
    # It is tried again so late that the log surely says so.
    with receiving(Receiver(respond=lambda handler: answer(handler, 503, Retry_After="3600"))) as receiver:
        _add(page, receiver.url + "/" + "a-long-address" * 20)
        _fits(page)
        page.get_by_role("link", name="I have copied it").click()
        service.sign_up("ann@example.org")
        eventually(lambda: service.sink.to("ann@example.org"))
        service.client.post(path(service.sink.to("ann@example.org")[-1].link("confirm")))
        eventually(lambda: statuses(service) == ["awaiting_retry"])
        receiver.respond = ok
        page.get_by_role("button", name="Send a test message").click()
        expect(page.locator("#log")).to_contain_text("to be tried at")
        _fits(page)
    for button, heading in (
        ("New secret", "Make a new secret?"),
        ("Switch it off", "Switch this webhook off?"),
    ):
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        _fits(page)
        page.get_by_role("link", name="Go back").click()
    page.get_by_role("button", name="Switch it off").click()
    expect(page.get_by_role("heading", name="Switch this webhook off?")).to_be_visible()
    page.get_by_role("button", name="Switch it off").click()
    expect(page.get_by_text("Switched off since")).to_be_visible()
    _fits(page)
    page.get_by_role("link", name="Webhooks").first.click()
    _fits(page)
