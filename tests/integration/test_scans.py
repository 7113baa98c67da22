"""The scanner ledger: looks at links are counted by kind and by how soon, and nothing waits for that."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.domain import scanners
from newsletter.domain.ids import new_id
from newsletter.domain.roles import Role
from newsletter.domain.scanners import Delay, Door
from newsletter.extensions import db
from newsletter.services import scans
from newsletter.services.scans import Ledger
from tests.integration.test_changing_address import NEW, new_path, not_me_path
from tests.integration.test_own_page import ANN, do, whole_path
from tests.support.acting import everywhere, reading
from tests.support.operators import Console
from tests.support.service import Service, now, path

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "Accept-Language": "en",
    "Sec-Fetch-Mode": "navigate",
}


def _add(service: Service) -> None:
    service.app.extensions["newsletter.scans"].add()


def _stored(service: Service) -> list[tuple[object, ...]]:
    _add(service)
    rows = service.rows(
        "SELECT door, kind, delay, effect, sum(number) FROM scans GROUP BY door, kind, delay, effect "
        "ORDER BY door, kind, delay, effect"
    )
    return [tuple(row) for row in rows]


def _ledger(service: Service) -> Ledger:
    _add(service)
    return reading(service, lambda session: scans.ledger(session, now()))


def test_looks_are_counted_by_door_kind_and_delay(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # A slow machine takes more than five seconds to look.
    monkeypatch.setattr(
        scanners, "_UP_TO", ((timedelta(hours=1), Delay.SECONDS), (timedelta(days=1), Delay.DAY))
    )
    service.sign_up()
    mail = service.mail_to()[-1]
    confirm, unsubscribe = path(mail.link("confirm")), path(mail.link("unsubscribe"))
    client = service.client
    client.head(confirm, headers=BROWSER)
    client.get(confirm, headers=BROWSER)
    client.get(confirm, headers=BROWSER | {"Sec-Purpose": "prefetch"})
    client.options(unsubscribe, headers=BROWSER)
    client.get(unsubscribe, headers={"User-Agent": "Barracuda"})
    service.age(hours=3)
    for _ in range(2):
        client.get(unsubscribe, headers=BROWSER)

    assert _stored(service) == [
        ("confirm", "browser", "5s", "acts", 1),
        ("confirm", "head", "5s", "acts", 1),
        ("confirm", "prefetch", "5s", "acts", 1),
        ("unsubscribe", "browser", "1d", "acts", 2),
        ("unsubscribe", "options", "unknown", "nothing", 1),
        ("unsubscribe", "scanner", "5s", "acts", 1),
    ]
    ledger = _ledger(service)
    assert (ledger.looks, ledger.by_machines) == (7, 5)
    assert {door: number for door, number in ledger.false.items() if number} == {
        Door.CONFIRM: 3,
        Door.UNSUBSCRIBE: 1,
    }


def test_looks_at_a_reader_s_own_pages_are_counted_too(service: Service) -> None:
    service.confirmed(ANN)
    page = whole_path(service)
    do(service, page, "address", email=NEW)
    new, not_me = new_path(service), not_me_path(service)
    client = service.client
    for url in (page, f"{page}/copy", new, f"{new}/stop", not_me):
        assert client.head(url).status_code == 200
        client.options(url)
    client.post(new)
    for url in (new, f"{new}/stop", not_me):
        client.head(url)

    assert _stored(service) == [
        ("new_address", "head", "5s", "acts", 1),
        ("new_address", "head", "5s", "nothing", 1),
        ("new_address", "options", "unknown", "nothing", 1),
        ("not_me", "head", "5s", "acts", 2),
        ("not_me", "options", "unknown", "nothing", 1),
        ("own_page", "head", "5s", "nothing", 2),
        ("own_page", "options", "unknown", "nothing", 2),
        ("stop_change", "head", "5s", "acts", 1),
        ("stop_change", "head", "5s", "nothing", 1),
        ("stop_change", "options", "unknown", "nothing", 1),
    ]
    for url in (
        "/manage/nonsense",
        "/new-address/nonsense",
        "/new-address/nonsense/stop",
        "/not-me/nonsense",
    ):
        client.get(url)
        client.options(url)
    assert _ledger(service).looks == 13


def test_a_look_where_the_button_would_change_nothing_is_not_false(service: Service) -> None:
    mail = service.confirmed()
    service.client.head(path(mail.link("confirm")))
    service.client.post(path(mail.link("unsubscribe")))
    service.client.head(path(mail.link("unsubscribe")))

    ledger = _ledger(service)
    assert (ledger.by_machines, sum(ledger.false.values())) == (2, 0)


def test_a_press_and_a_token_that_is_none_are_no_looks(service: Service) -> None:
    mail = service.confirmed()
    service.client.post(path(mail.link("unsubscribe")))
    service.client.get("/confirm/nonsense")
    service.client.get("/unsubscribe/nonsense")
    for door in ("confirm", "unsubscribe"):
        service.client.options(f"/{door}/nonsense")

    assert _stored(service) == []


def test_a_link_of_nobody_is_not_looked_at(service: Service) -> None:
    unknown, at = new_id(now()), now()
    service.client.head("/unsubscribe/" + service.links.unsubscribe_token(unknown))
    service.client.head("/confirm/" + service.links.confirm_token(unknown, 1, now=at))

    assert _stored(service) == []


def test_what_is_added_twice_adds_up_and_old_days_are_left_out(service: Service) -> None:
    service.sign_up()
    link = path(service.mail_to()[-1].link("confirm"))
    for _ in range(2):
        service.client.head(link)
        _add(service)
    assert _ledger(service).looks == 2

    service.write("UPDATE scans SET day = '2020-01-01'")
    assert _ledger(service).looks == 0


def test_the_ledger_names_nobody_and_no_link(service: Service) -> None:
    service.sign_up()
    link = path(service.mail_to()[-1].link("confirm"))
    service.client.get(link, headers=BROWSER)
    _add(service)

    stored = everywhere(service)["scans"]
    assert stored
    assert link.rpartition("/")[2][:20] not in stored
    assert "ann" not in stored
    assert "127.0.0.1" not in stored


def test_law_4_a_page_waits_for_no_lock_and_its_look_is_kept_until_it_can_be_added(service: Service) -> None:
    service.sign_up()
    link = path(service.mail_to()[-1].link("confirm"))
    lock = "LOCK TABLE scans IN ACCESS EXCLUSIVE MODE" if service.on_postgresql else "DELETE FROM scans"
    with service.app.app_context(), db.engine.connect() as other:
        other.execute(text(lock))
        # Who waits for SQLite waits ten seconds each time, and who waits for PostgreSQL for ever.
        looks = 0
        while looks < 5:
            began = time.monotonic()
            assert service.client.get(link).status_code == 200
            looks += 1
            if time.monotonic() - began < 2:
                break
        else:
            pytest.fail("no page came at once")
        other.rollback()

    service.write("ALTER TABLE scans RENAME TO away")
    _add(service)
    service.write("ALTER TABLE away RENAME TO scans")
    assert [row[-1] for row in _stored(service)] == [looks]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_u5_a_look_writes_nothing_by_itself(service: Service, method: str) -> None:
    service.sign_up()
    mail = service.mail_to()[-1]
    before = everywhere(service)
    for door in ("confirm", "unsubscribe"):
        assert service.client.open(path(mail.link(door)), method=method).status_code == 200

    assert everywhere(service) == before


def test_the_console_says_it_in_plain_words(service: Service) -> None:
    console = Console.of(service, "owner@example.org")
    assert "Who looks at links" not in console.get("/operator/").text

    service.sign_up()
    mail = service.mail_to()[-1]
    service.client.head(path(mail.link("confirm")))
    service.client.get(path(mail.link("unsubscribe")), headers={"User-Agent": "curl/8"})
    _add(service)

    page = console.get("/operator/").text
    assert "opened 2 times without a button being pressed, 2 of them by machines" in page
    assert "1 false confirmation and 1 false unsubscribe." in page
    assert "Asked whether it is there (HEAD)" in page

    service.client.post(path(mail.link("confirm")))
    do(service, whole_path(service, "ann@example.org"), "address", email=NEW)
    service.client.head(new_path(service))
    _add(service)
    page = console.get("/operator/").text
    assert "1 false unsubscribe, and 1 false change of address." in page


def test_who_sees_one_list_is_told_nothing_of_the_mails_of_all(service: Service) -> None:
    service.sign_up()
    service.client.get(path(service.mail_to()[-1].link("confirm")), headers={"User-Agent": "curl/8"})
    _add(service)
    pages = [
        Console.of(service, f"{slug}@example.org", role=Role.VIEWER, slugs=slugs).get("/operator/").text
        for slug, slugs in (("all", None), ("daily", ["daily"]))
    ]

    assert ["Who looks at links" in page for page in pages] == [True, False]
