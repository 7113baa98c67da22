"""The console in a real browser: from the growth of a list to one subscriber, with script and without, and what
axe-core says of each page."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from newsletter.domain.lifecycle import State
from tests.support.axe import found_by_axe
from tests.support.operators import PASSWORD, invite
from tests.support.people import Person, add_people
from tests.support.service import Service, now, path
from tests.support.visitors import DESKTOP, PATIENCE, PHONE

LIST = "/operator/lists/daily"
FILE = "email;name;city\r\ncem@example.org;Cem;Basel\r\nbob@;Bob;Wien\r\n"


@pytest.fixture
def served(make_service: Callable[..., Service]) -> Iterator[tuple[Service, str]]:
    """A list that has grown for a year."""
    service = make_service("sqlite")
    chance = random.Random(4)
    add_people(
        service,
        [
            Person(
                f"reader{number}@example.org",
                f"Reader {number}",
                chance.choice([State.CONFIRMED] * 8 + [State.UNSUBSCRIBED, State.BOUNCED]),
                chance.choice(["form", "element"]),
                at=now() - timedelta(days=365 - number),
            )
            for number in range(360)
        ],
    )
    service.sign_up("ann@example.org", name="Ann")
    service.sign_up("failed@example.org")
    service.write(
        "UPDATE outbox SET status = 'failed', last_error = '550 5.1.1 no such user' WHERE id = "
        "(SELECT max(id) FROM outbox)"
    )
    service.work()
    with service.served("--workers", "1", "--without-worker") as url:
        yield service, url


def enter(page: Page, service: Service, url: str) -> None:
    page.goto(url + path(invite(service, "owner@example.org")))
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="Set the password").click()
    page.goto(f"{url}/operator/")


@pytest.fixture(params=[True, False], ids=["with script", "without script"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, java_script_enabled=request.param
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def test_from_the_growth_of_a_list_to_one_subscriber_who_is_edited_and_erased(
    served: tuple[Service, str], page: Page
) -> None:
    service, url = served
    month = f"{now():%b %Y}"
    enter(page, service, url)

    page.get_by_role("main").get_by_role("link", name="Daily News").click()
    expect(page.get_by_role("img", name="Joined and left")).to_be_visible()
    page.get_by_role("link", name="12 months").click()
    page.get_by_text("As a table").first.click()
    expect(page.get_by_role("table").first).to_contain_text(month)

    page.get_by_role("navigation", name="Console").get_by_role("link", name="Subscribers").click()
    page.get_by_label("Address or name").fill("ANN@")
    page.get_by_label("Address or name").press("Enter")
    expect(page.get_by_role("table")).not_to_contain_text("reader")
    page.get_by_role("link", name="ann@example.org").click()
    expect(page.get_by_role("blockquote")).to_contain_text("directly in your inbox")

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name").fill("Änne")
    page.get_by_label("Attributes").fill('{"city": "Basel"}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.get_by_role("main")).to_contain_text("Basel")

    page.get_by_label("And never mail this address again").check()
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Erase ann@example.org?")
    expect(page.get_by_role("main")).to_contain_text("This cannot be undone")
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("status")).to_have_text("They are erased.")
    assert "ann@example.org" not in service.states()


def test_a_search_follows_the_typing(served: tuple[Service, str], browser: Browser) -> None:
    service, url = served
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    enter(page, service, url)
    page.goto(f"{url}{LIST}/subscribers")

    page.get_by_label("Address or name").press_sequentially("reader 35")
    expect(page.locator("#found tbody tr")).to_have_count(11)
    expect(page).to_have_url(re.compile("q=reader[+]35"))
    page.get_by_label("Address or name").fill("")
    expect(page.locator("#found tbody tr")).to_have_count(50)
    context.close()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_axe_finds_nothing_by_day_and_by_night(
    served: tuple[Service, str], browser: Browser, size: tuple[int, int]
) -> None:
    service, url = served
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    found: list[str] = []

    def look() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
        if page.url.startswith(url + LIST):
            box = page.get_by_role("heading", level=2, name="Daily News", exact=True).bounding_box()
            assert box, page.url
            assert box["height"] > 10, f"{page.url} does not show which list it is of"
        found.extend(found_by_axe(page))

    enter(page, service, url)
    for where in ("/operator/", LIST, f"{LIST}/subscribers", f"{LIST}/subscribers?q=nobody", f"{LIST}/add",
                  f"{LIST}/settings", f"{LIST}/exports", f"{LIST}/imports", f"{LIST}/outbox",
                  "/operator/new-list"):  # fmt: skip
        page.goto(url + where)
        for summary in page.locator("main summary").all():
            summary.click()
        look()
    page.goto(f"{url}{LIST}/subscribers?q=ann@")
    page.get_by_role("link", name="ann@example.org").click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    look()
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Unsubscribe ann@example.org?")
    look()
    page.goto(f"{url}{LIST}/imports")
    page.get_by_label("A file of subscribers").set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": FILE.encode()}
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="How the file is read")).to_be_visible()
    look()
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("status")).to_contain_text("nothing is changed")
    look()
    service.work()
    expect(page.get_by_role("heading", name="What will become of it")).to_be_visible()  # by itself
    look()
    page.get_by_role("button", name="Import now").click()
    expect(page.get_by_role("status")).to_contain_text("by the worker")
    service.work()
    expect(page.get_by_role("heading", name="What became of it")).to_be_visible()
    look()
    context.close()

    assert found == []
