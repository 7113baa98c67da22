"""The console's pages of webhooks: what an owner does there, and who else may not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from newsletter.domain.roles import Role
from tests.support.operators import Console
from tests.support.receiver import Receiver, answer, ok
from tests.support.service import MADE, Service, environment
from tests.support.smtp import Sink
from tests.support.webhooks import add, hurry, statuses, view

PAGES = "/operator/lists/daily/webhooks"


@pytest.fixture
def console(service: Service) -> Console:
    return Console.of(service, "owner@example.org")


@pytest.fixture(scope="module")
def owner(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One for all tests that leave everything as it is: to log in takes its time."""
    folder = tmp_path_factory.mktemp("console")
    shutil.copy(sqlite_template, folder / "newsletter.sqlite3")
    own = environment(folder, Sink(), None) | {"NEWSLETTER_WEBHOOKS_TO_PRIVATE": "on"}
    service = Service(own, Sink())
    MADE.remove(service)
    yield Console.of(service, "owner@example.org")
    service.close()


def the_id(service: Service, table: str) -> UUID:
    """The id of the one row in a table, as addresses write it."""
    return UUID(str(service.one(f"SELECT id FROM {table}")))


def deeds(service: Service) -> list[str]:
    """What the audit log says that the owner did to webhooks."""
    found = service.rows(
        "SELECT action FROM audit_events WHERE action LIKE 'webhook.%' AND actor LIKE 'owner%' ORDER BY id"
    )
    return [action.removeprefix("webhook.") for (action,) in found]


def test_a_webhook_is_added_and_its_secret_shown_once(
    service: Service, receiver: Receiver, console: Console
) -> None:
    page = console.post(PAGES, url=receiver.url, events=["subscribed", "confirmed"])
    assert page.status_code == 200
    secret = re.search(r'id="secret">(whsec_[^<]+)<', page.text)
    assert secret
    assert page.headers["Cache-Control"] == "no-store"
    service.sign_up("ann@example.org")
    service.work()

    assert receiver.told[0].is_signed_with(secret[1])
    webhook = the_id(service, "webhooks")
    for url in (PAGES, f"{PAGES}/{webhook}"):
        shown = console.get(url)
        assert shown.status_code == 200
        assert receiver.url in shown.text
        assert secret[1] not in shown.text
    assert "arrived" in shown.text
    assert "subscription.subscribed" in shown.text
    assert deeds(service) == ["added"]


@pytest.mark.parametrize(
    ("url", "events", "says"),
    [
        ("http://8.8.8.8/", ["bounced"], "http:// is for private networks only"),
        ("https://169.254.169.254/", ["bounced"], "no address of a host"),
        ("https://a:b@example.org/", ["bounced"], "a user or a password"),
        ("", ["bounced"], "no address such as"),
        ("https://example.org/" + "a" * 1000, ["bounced"], "at most 1000 characters"),
        ("https://example.org/\r\nx", ["bounced"], "has not"),
        ("https://example.org/", [], "Choose at least one event"),
        ("https://example.org/", ["<b>"], "do not exist"),
    ],
)
def test_what_cannot_be_is_said_beside_the_form_and_nothing_is_lost(
    owner: Console, url: str, events: list[str], says: str
) -> None:
    page = owner.post(PAGES, url=url, events=events)

    assert page.status_code == 422
    assert says in page.text
    assert "<b>" not in page.text
    assert ('value="bounced" checked' in page.text) == ("bounced" in events)
    assert owner.service.rows("SELECT 1 FROM webhooks") == []
    assert deeds(owner.service) == []


def test_a_webhook_is_edited_tested_rotated_and_switched_off_and_on(
    service: Service, receiver: Receiver, console: Console
) -> None:
    webhook, old = add(service, "https://example.org/")
    page = f"{PAGES}/{webhook}"
    assert console.post(page, url="nonsense", events=["bounced"]).status_code == 422
    assert console.post(page, url=receiver.url, events=["bounced"]).status_code == 303
    assert console.post(f"{page}/test").status_code == 303
    service.work()
    assert receiver.types == ["webhook.test"]

    assert "Make a new secret?" in console.post(f"{page}/rotate").text
    assert (new := re.search(r"whsec_[^<]+", console.post(f"{page}/rotate", confirmed="yes").text))
    console.post(f"{page}/test")
    service.work()
    assert receiver.told[1].is_signed_with(old)
    assert receiver.told[1].is_signed_with(new[0])

    assert "is not sent" in console.post(f"{page}/disable").text
    assert view(service, webhook).disabled_at is None
    assert console.post(f"{page}/disable", confirmed="yes").status_code == 303
    assert console.post(f"{page}/test").status_code == 422
    assert "Switched off since" in console.get(page).text
    assert console.post(f"{page}/enable").status_code == 303
    assert deeds(service) == ["edited", "tested", "rotated", "tested", "disabled", "enabled"]


def test_removing_asks_once_more(service: Service, console: Console) -> None:
    webhook, _ = add(service, "https://example.org/")

    asked = console.post(f"{PAGES}/{webhook}/remove")
    assert "cannot be undone" in asked.text
    assert "https://example.org/" in asked.text
    assert service.one("SELECT count(*) FROM webhooks") == 1

    assert console.post(f"{PAGES}/{webhook}/remove", confirmed="yes").status_code == 303
    assert service.one("SELECT count(*) FROM webhooks") == 0
    assert console.get(f"{PAGES}/{webhook}").status_code == 404
    assert deeds(service)[-1] == "removed"


def test_the_log_tells_what_went_wrong_and_sends_again(
    service: Service, receiver: Receiver, console: Console
) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    receiver.respond = lambda handler: answer(handler, 503)
    service.sign_up("ann@example.org")
    service.work()
    page = console.get(f"{PAGES}/{webhook}").text
    assert "it answered 503" in page
    assert "Nothing gets through since" in page
    assert "Send again" not in page

    receiver.respond = ok
    hurry(service)
    service.work()
    delivery = the_id(service, "webhook_deliveries")
    assert console.post(f"{PAGES}/{webhook}/deliveries/{delivery}/again").status_code == 303
    service.work()
    assert len({told.id for told in receiver.told}) == 1
    assert statuses(service) == ["sent", "sent"]
    assert console.post(f"{PAGES}/{webhook}/deliveries/{uuid4()}/again").status_code == 404
    assert deeds(service)[-1] == "replayed"


def test_the_log_has_pages(service: Service, receiver: Receiver, console: Console) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    for number in range(60):
        service.sign_up(f"reader-{number}@example.org")
    service.work()
    first = console.get(f"{PAGES}/{webhook}").text
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = console.get(older[1]).text

    seen = [int(number) for page in (first, second) for number in re.findall(r"no\. (\d+)", page)]
    assert seen == list(range(60, 0, -1))
    assert 'rel="next"' not in second
    assert console.get(f"{PAGES}/{webhook}?before=nonsense").status_code == 404


ROUTES = ["", "/rotate", "/disable", "/enable", "/remove", "/test", "/deliveries/{delivery}/again"]


def test_another_lists_webhook_does_not_exist_on_any_page(
    service: Service, receiver: Receiver, console: Console
) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    webhook, _ = add(service, receiver.url, ["subscribed"], slug="sport")
    service.sign_up("ann@example.org", "sport")
    service.work()
    delivery = the_id(service, "webhook_deliveries")
    before = service.rows("SELECT * FROM webhooks")

    editor = Console.of(service, "editor@example.org", slugs=["sport"], role=Role.EDITOR)
    for who, slug, status in ((console, "daily", 404), (editor, "daily", 403), (editor, "sport", 403)):
        for route in ROUTES:
            url = f"/operator/lists/{slug}/webhooks/{webhook}" + route.format(delivery=delivery)
            given = who.post(url, url=receiver.url, events=["bounced"], confirmed="yes")
            assert given.status_code == status, (slug, route)
        assert who.get(f"/operator/lists/{slug}/webhooks/{webhook}").status_code == status
    assert service.rows("SELECT * FROM webhooks") == before
    assert len(receiver.told) == 1


def test_who_is_not_logged_in_or_has_no_form_of_ours_does_nothing(service: Service, console: Console) -> None:
    webhook, _ = add(service, "https://example.org/")
    page = f"{PAGES}/{webhook}"

    assert service.client.get(page, base_url="https://news.example").status_code == 303
    for route in ("", "/rotate", "/disable", "/remove", "/test"):
        nobody = service.client.post(page + route, base_url="https://news.example", data={"confirmed": "yes"})
        assert nobody.status_code in (400, 401)
        forged = console.client.post(page + route, base_url="https://news.example", data={"confirmed": "yes"})
        assert forged.status_code == 400
    assert view(service, webhook).disabled_at is None
