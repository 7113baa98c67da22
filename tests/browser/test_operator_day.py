"""An operator's whole day in a real browser: log in with the second factor, look at the growth, search, export
for Mailchimp, import with a dry run, revoke a token."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from newsletter.domain.lifecycle import State
from tests.support.operators import Console
from tests.support.people import Person, add_people
from tests.support.service import Service, now
from tests.support.visitors import DESKTOP, PATIENCE

NAMES = ("Ann Keller", "Bob Meier", "Jörg Weiß", "=Dora Novák")
FILE = (
    "Email Address,First Name,Last Name,CONFIRM_TIME\r\n"
    "eva@example.org,Eva,Lindqvist,2026-01-02 08:00:00\r\n"
    "left@example.org,Lena,Vogel,2026-01-02 08:00:00\r\n"
    "nobody,Nobody,,\r\n"
)


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A list with some history, on SQLite: what a browser shows is the same on both databases."""
    service = make_service("sqlite")
    people = [
        Person(f"{name.split()[-1].lower()}@example.org", name, at=now() - timedelta(days=5 * number + 1))
        for number, name in enumerate(NAMES)
    ]
    add_people(
        service, [*people, Person("left@example.org", state=State.UNSUBSCRIBED, at=now() - timedelta(days=9))]
    )
    return service


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def test_an_operators_day(service: Service, page: Page, tmp_path: Path) -> None:
    morning = Console.of(service, "owner@example.org")
    secret, _ = morning.switch_on_second_factor()
    # The code that switched it on counts no second time.
    service.write("UPDATE operators SET totp_step = 0")
    with service.served("--workers", "1") as url:
        log_in(page, url, secret)
        look_at_the_growth(page)
        search(page)
        export_for_mailchimp(page, tmp_path)
        bring_in(page)
        revoke_a_token(page)

    assert service.states() == {
        **{f"{name.split()[-1].lower()}@example.org": "confirmed" for name in NAMES},
        "left@example.org": "unsubscribed",
        "eva@example.org": "confirmed",
    }
    assert service.one("SELECT count(*) FROM api_tokens WHERE revoked_at IS NOT NULL") == 1
    deeds = {action for (action,) in service.rows("SELECT action FROM audit_events")}
    assert {
        "login",
        "export.started",
        "import.checked",
        "import.started",
        "token.added",
        "token.revoked",
    } <= deeds


def log_in(page: Page, url: str, secret: str) -> None:
    page.goto(f"{url}/operator/lists/daily")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.get_by_label("Email address").fill("owner@example.org")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("main").get_by_role("button").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Daily News")  # where they wanted to be


def look_at_the_growth(page: Page) -> None:
    figures = page.locator("dl.figures")
    expect(figures).to_contain_text("Subscribers now")
    while figures.locator("dd").first.inner_text() != str(len(NAMES)):  # the worker counts
        page.wait_for_timeout(250)
        page.reload()
    for chart in ("Subscribers", "Sign-ups and confirmations", "Joined and left"):
        expect(page.get_by_role("img", name=chart, exact=True)).to_be_visible()


def search(page: Page) -> None:
    room(page, "Subscribers")
    page.get_by_label("Address or name").press_sequentially("weiß")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.get_by_role("link", name="weiß@example.org").click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()


def export_for_mailchimp(page: Page, folder: Path) -> None:
    room(page, "Exports")
    page.get_by_label("Format").select_option("mailchimp")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    download.value.save_as(folder / "mailchimp.csv")
    with (folder / "mailchimp.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["Email Address", "First Name", "Last Name", "Tags"]
    assert sorted(row[0] for row in rows) == sorted(
        f"{name.split()[-1].lower()}@example.org" for name in NAMES
    )
    assert ["weiß@example.org", "Jörg", "Weiß", "daily"] in rows
    page.reload()
    expect(page.get_by_role("link", name="Manifest")).to_be_visible()


def bring_in(page: Page) -> None:
    room(page, "Imports")
    page.get_by_label("A file of subscribers").set_input_files(
        {"name": "mailchimp.csv", "mimeType": "text/csv", "buffer": FILE.encode()}
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("main")).to_contain_text("as Mailchimp writes it")
    page.get_by_label("Where and how these people agreed").fill(
        "Confirmed at Mailchimp, by its double opt-in"
    )
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("heading", name="What will become of it")).to_be_visible()
    expect(page.locator("dl.report")).to_contain_text("New, as confirmed")
    expect(page.get_by_role("region", name="Refused rows")).to_contain_text("nobody")
    page.get_by_role("button", name="Import now").click()
    expect(page.get_by_role("heading", name="What became of it")).to_be_visible()


def revoke_a_token(page: Page) -> None:
    room(page, "API tokens")
    page.get_by_label("Name").fill("An old sync")
    page.get_by_label("Export subscribers").check()
    page.get_by_label("All lists").check()
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revoke An old sync?")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status")).to_contain_text("revoked")


def room(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Console").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
