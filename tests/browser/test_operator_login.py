"""An operator's way into the console, in a real browser: by keyboard alone, without script, on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import found_by_axe
from tests.support.operators import PASSWORD, invite, wrong_code
from tests.support.service import Service, path
from tests.support.visitors import PATIENCE, PHONE


@pytest.fixture
def served(make_service: Callable[..., Service]) -> Iterator[tuple[Service, str]]:
    service = make_service("sqlite")
    with service.served("--workers", "1") as url:
        yield service, url


@pytest.fixture(params=[True, False], ids=["with script", "without script"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, java_script_enabled=request.param
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def _type(page: Page, *keys: str) -> None:
    """Go on to the next field, and type."""
    for text in keys:
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_an_operator_accepts_sets_up_a_second_factor_and_logs_in_by_keyboard_alone(
    served: tuple[Service, str], page: Page
) -> None:
    service, url = served
    page.goto(url + path(invite(service, "ann@example.org")))
    page.get_by_label("Password").focus()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Protect your account")).to_be_visible()
    secret = page.locator("code").inner_text()
    page.get_by_label("Code").focus()
    page.keyboard.type(pyotp.TOTP(secret).now())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    recovery = page.locator("ol code").first.inner_text()
    page.get_by_role("button", name="Log out").press("Enter")

    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Email address").focus()
    page.keyboard.type("ann@example.org")
    _type(page, PASSWORD)
    expect(page.get_by_label("Code")).to_be_focused()
    page.keyboard.type(recovery)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Lists", level=1)).to_be_visible()


class Looked:
    """A phone on which pages are looked at by day and by night; `found` is what axe finds on them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: list[str] = []

    def __call__(self) -> None:
        assert self.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], self.page.url
        self.found.extend(found_by_axe(self.page))

    def press(self, button: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("main").get_by_role("button", name=button).click()


@pytest.fixture
def look(browser: Browser) -> Iterator[Looked]:
    context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    context.set_default_timeout(PATIENCE)
    look = Looked(context.new_page())
    yield look
    context.close()
    assert look.found == []


def _come_in(look: Looked, service: Service, url: str) -> None:
    look.page.goto(url + path(invite(service, "ann@example.org")))
    look.page.get_by_label("Password").fill(PASSWORD)
    look.press("Set the password")


def _log_in(look: Looked, url: str, password: str) -> None:
    look.page.goto(f"{url}/operator/login")
    look.page.get_by_label("Email address").fill("ann@example.org")
    look.page.get_by_label("Password").fill(password)
    look.press("Log in")


def test_axe_finds_nothing_at_the_doors(served: tuple[Service, str], look: Looked) -> None:
    service, url = served
    page = look.page
    page.goto(url + path(invite(service, "ann@example.org")))
    look()
    page.get_by_label("Password").fill("too short")
    look.press("Set the password")
    look()
    page.get_by_label("Password").fill(PASSWORD)
    look.press("Set the password")
    look()
    secret = page.locator("code").inner_text()
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    look.press("Switch it on")
    look()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    look()
    _log_in(look, url, "a wrong guess of it")
    look()
    _log_in(look, url, PASSWORD)
    look()
    while page.get_by_label("Code").count():
        page.get_by_label("Code").fill(wrong_code(secret))
        look.press("Log in")
    expect(page.get_by_role("heading", name="Too many attempts")).to_be_visible()
    look()


PAGES = ["/operator/", "/operator/account", "/operator/account/second-factor", "/operator/operators",
         "/operator/tokens", "/operator/audit", "/operator/lists/none"]  # fmt: skip


def test_axe_finds_nothing_on_these_pages(served: tuple[Service, str], look: Looked) -> None:
    service, url = served
    _come_in(look, service, url)
    for where in PAGES:
        look.page.goto(url + where)
        look()


def test_axe_finds_nothing_where_operators_and_tokens_are_made(
    served: tuple[Service, str], look: Looked
) -> None:
    service, url = served
    page = look.page
    _come_in(look, service, url)
    page.goto(f"{url}/operator/tokens")
    page.get_by_label("Name").fill("Sync")
    page.get_by_label("Export subscribers").check()
    look.press("Make it")
    expect(page.get_by_text("Choose at least one list.")).to_be_visible()
    look()
    page.get_by_label("All lists").check()
    look.press("Make it")
    look()
    look.press("Revoke Sync")
    look()
    page.goto(f"{url}/operator/operators")
    page.get_by_label("Email address").fill("bob@example.org")
    page.get_by_label("All lists").check()
    look.press("Invite")
    look()
    page.get_by_role("main").get_by_role("link", name="bob@example.org").click()
    expect(page.get_by_role("heading", name="bob@example.org")).to_be_visible()
    look()
    look.press("Reset password")
    look()
