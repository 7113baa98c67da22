"""The subscriber's own page: what its links open, what can be done there, and what never can."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from newsletter.domain.returns import Return, ReturnKind
from newsletter.services import changes, subscribers
from newsletter.services.exports import Format
from newsletter.services.take_return import take_return
from tests.support.acting import reading, the_list, writing
from tests.support.exporting import exported
from tests.support.importing import imported
from tests.support.operators import Console
from tests.support.service import Service, now, path

ANN, BOB = "ann@example.org", "bob@example.org"


def own_path(service: Service, email: str = ANN) -> str:
    """The page by the link that stands in the footer of somebody's newest mail."""
    return path(service.mail_to(email)[-1].link("manage"))


def whole_path(service: Service, email: str = ANN) -> str:
    """The page by a link that was asked for."""
    assert service.client.post("/unsubscribe", data={"email": email}).status_code == 200
    return own_path(service, email)


def do(service: Service, url: str, deed: str, **fields: Any) -> TestResponse:
    return service.client.post(url, data={"do": deed, **fields})


def held(service: Service, slug: str = "daily") -> str:
    """The only subscription to a list, as the page names it."""
    found = service.one(
        "SELECT s.id FROM subscriptions s JOIN mailing_lists l ON l.id = s.list_id WHERE l.slug = :slug",
        slug=slug,
    )
    return str(UUID(str(found)))


def in_days(number: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=number)).isoformat()


def found(service: Service, **asked: Any) -> int:
    """How many subscribers a search finds."""
    daily = the_list(service).id
    return len(reading(service, lambda session: subscribers.search(session, daily, **asked).rows))


def everything(service: Service) -> dict[str, int]:
    """What a request must not change."""
    return service.counts() | {"events": len(service.events()), "outbox": len(service.statuses())}


def test_every_mail_links_to_the_page_in_both_of_its_parts(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    on_sqlite.age(minutes=11)
    on_sqlite.sign_up(ANN)  # "you already receive it"
    on_sqlite.client.post("/unsubscribe", data={"email": ANN})

    mails = on_sqlite.mail_to(ANN)
    assert len(mails) == 3
    for mail in mails:
        assert "/manage/" in mail.part("plain")
        assert "/manage/" in mail.part("html")
        assert on_sqlite.client.get(path(mail.link("manage"))).status_code == 200


def test_u5_looking_changes_nothing_and_tells_no_address(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    url, before = own_path(on_sqlite), everything(on_sqlite)

    for suffix, method in product(("", "/copy"), ("GET", "HEAD", "OPTIONS")):
        answer = on_sqlite.client.open(url + suffix, method=method)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers
        assert ANN not in answer.text
    assert everything(on_sqlite) == before


def test_a_link_from_a_footer_opens_the_lists_and_nothing_that_is_secret(on_sqlite: Service) -> None:
    on_sqlite.sign_up(ANN, name="Ann Miller")
    on_sqlite.client.post(path(on_sqlite.mail_to(ANN)[-1].link("confirm")))
    url, before = own_path(on_sqlite), everything(on_sqlite)

    page = on_sqlite.client.get(url).text
    assert "Daily News" in page
    assert "a•••@example.org" in page
    assert "Miller" not in page
    assert "Erase" not in page
    assert on_sqlite.client.get(f"{url}/copy").status_code == 403
    for deed, fields in (
        ("name", {"name": "Mallory"}),
        ("address", {"email": "mallory@example.net"}),
        ("erase", {"sure": "yes"}),
    ):
        assert do(on_sqlite, url, deed, **fields).status_code == 403
    assert everything(on_sqlite) == before
    assert on_sqlite.one("SELECT name FROM subscribers") == "Ann Miller"


def test_a_fresh_link_goes_to_the_address_and_opens_all(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    answer = do(on_sqlite, own_path(on_sqlite), "link")

    assert answer.status_code == 200
    assert ANN not in answer.text
    page = on_sqlite.client.get(own_path(on_sqlite)).text
    assert "Erase everything" in page
    assert ANN not in page


def test_a_fresh_link_opens_little_after_a_day_and_only_the_way_to_another_after_a_month(
    on_sqlite: Service,
) -> None:
    on_sqlite.confirmed(ANN)
    now = datetime.now(UTC)
    person = UUID(str(on_sqlite.one("SELECT id FROM subscribers")))

    def link(**ago: float) -> str:
        token = on_sqlite.links.manage_token(person, 1, asked=True, now=now - timedelta(**ago))
        return f"/manage/{token}"

    assert on_sqlite.client.get(f"{link(hours=23)}/copy").status_code == 200
    assert on_sqlite.client.get(f"{link(hours=25)}/copy").status_code == 403
    assert on_sqlite.client.get(link(days=29)).status_code == 200
    late = on_sqlite.client.get(link(days=31))
    assert late.status_code == 410
    assert "Send me a fresh link" in late.text
    assert ANN not in late.text
    assert do(on_sqlite, link(days=31), "unsubscribe", subscription=held(on_sqlite)).status_code == 410
    assert on_sqlite.states() == {ANN: "confirmed"}
    assert do(on_sqlite, link(days=31), "link").status_code == 200
    assert "/manage/" in on_sqlite.mail_to(ANN)[-1].part("plain")


def test_d1_tokens_of_other_doors_and_damaged_ones_open_nothing(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    mail = on_sqlite.mail_to(ANN)[-1]
    url = own_path(on_sqlite)
    tokens = [path(mail.link(door)).rpartition("/")[2] for door in ("confirm", "unsubscribe")]

    for token in (*tokens, url.rpartition("/")[2][:-2], "x", "%00"):
        for door in ("manage", "new-address", "not-me"):
            for method in ("GET", "POST"):
                answer = on_sqlite.client.open(f"/{door}/{token}", method=method, data={"do": "link"})
                assert 400 <= answer.status_code < 500, (door, token)
    # What mail programs glue to a link does no harm (D8).
    assert on_sqlite.client.get(f"{url}.)").status_code == 200


def test_unsubscribing_on_the_page_ends_that_list_or_all(on_sqlite: Service) -> None:
    for slug in ("sport", "music"):
        on_sqlite.command("lists", "add", slug, "--name", slug.title())
    for slug in ("daily", "sport", "music"):
        on_sqlite.confirmed(ANN, slug)
    url = own_path(on_sqlite)

    answer = do(on_sqlite, url, "unsubscribe", subscription=held(on_sqlite, "sport"))
    assert "You’re unsubscribed" in answer.text
    states = "SELECT l.slug, s.state FROM subscriptions s JOIN mailing_lists l ON l.id = s.list_id"
    assert dict(on_sqlite.rows(states)) == {
        "daily": "confirmed",
        "sport": "unsubscribed",
        "music": "confirmed",
    }
    do(on_sqlite, url, "unsubscribe-all")
    assert set(dict(on_sqlite.rows(states)).values()) == {"unsubscribed"}
    assert (
        on_sqlite.rows("SELECT way FROM consent_events WHERE kind = 'unsubscribe'") == [("subscriber",)] * 3
    )


def test_nobody_acts_on_the_subscription_of_another(on_sqlite: Service) -> None:
    on_sqlite.confirmed(BOB)
    bobs = held(on_sqlite)
    on_sqlite.confirmed(ANN)
    url = own_path(on_sqlite)

    for deed, more in (("unsubscribe", {}), ("pause", {"until": in_days(9)}), ("resume", {})):
        assert do(on_sqlite, url, deed, subscription=bobs, **more).status_code == 400
    assert on_sqlite.states() == {ANN: "confirmed", BOB: "confirmed"}
    assert on_sqlite.rows("SELECT id FROM subscriptions WHERE paused_until IS NOT NULL") == []


def test_who_paused_stays_confirmed_and_is_left_out_where_mail_is_sent_by(service: Service) -> None:
    service.confirmed(ANN)
    url = own_path(service)

    answer = do(service, url, "pause", subscription=held(service), until=in_days(9))

    assert answer.status_code == 200
    assert "Paused" in answer.text
    assert service.states() == {ANN: "confirmed"}
    assert ANN.encode() not in exported(service)
    assert ANN.encode() in exported(service, with_paused=True)
    for query in ("", "ann"):
        assert found(service, query=query, without_paused_at=datetime.now(UTC)) == 0
        assert found(service, query=query) == 1
    service.work()
    seen = reading(service, lambda session: changes.changes_since(session, the_list(service).id, 0, 10))[-1]
    assert (seen.event, seen.state) == ("edit", "confirmed")
    assert seen.subscriber is not None
    assert seen.subscriber.paused_until is not None
    assert service.rows("SELECT way FROM consent_events WHERE kind = 'edit'") == [("subscriber",)]

    do(service, url, "resume", subscription=held(service))
    assert ANN.encode() in exported(service)


def test_a_pause_ends_by_itself_and_with_the_subscription(service: Service) -> None:
    service.confirmed(ANN)
    do(service, own_path(service), "pause", subscription=held(service), until=in_days(9))
    over = datetime.now(UTC) - timedelta(seconds=5)
    moment: Any = over if service.on_postgresql else over.isoformat(timespec="microseconds")[:26] + "Z"

    service.write("UPDATE subscriptions SET paused_until = :moment", moment=moment)
    assert ANN.encode() in exported(service)

    do(service, own_path(service), "pause", subscription=held(service), until=in_days(9))
    do(service, own_path(service), "unsubscribe", subscription=held(service))
    service.age(minutes=11)
    service.confirmed(ANN)
    assert ANN.encode() in exported(service)


def test_a_day_that_cannot_be_is_told_beside_its_field(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    url = own_path(on_sqlite)

    for until in ("", "soon", "2020-01-01", "2199-01-01", "2026-13-45", in_days(0), in_days(368)):
        answer = do(on_sqlite, url, "pause", subscription=held(on_sqlite), until=until)
        assert answer.status_code == 422, until
        assert 'aria-invalid="true"' in answer.text
    assert on_sqlite.rows("SELECT id FROM subscriptions WHERE paused_until IS NOT NULL") == []


def test_who_is_paused_and_signs_up_again_stays_paused_and_is_told_so(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    do(on_sqlite, own_path(on_sqlite), "pause", subscription=held(on_sqlite), until=in_days(9))
    on_sqlite.age(minutes=11)

    on_sqlite.sign_up(ANN)

    assert "paused it until" in on_sqlite.mail_to(ANN)[-1].part("plain")
    assert ANN.encode() not in exported(on_sqlite)


def test_name_and_language_are_kept_on_every_list_and_told_in_the_journal(service: Service) -> None:
    service.confirmed(ANN)
    url = whole_path(service)

    assert "Saved" in do(service, url, "name", name="  Änn <b> ").text
    page = do(service, url, "language", locale="de")

    assert 'lang="de"' in page.text
    assert "Änn &lt;b&gt;" in page.text
    assert service.rows("SELECT name, locale FROM subscribers") == [("Änn <b>", "de")]
    edits = service.rows("SELECT way, before, after FROM consent_events WHERE kind = 'edit'")
    assert edits == [("subscriber", "confirmed", "confirmed")] * 2
    assert do(service, url, "name", name="x" * 201).status_code == 422
    assert do(service, url, "language", locale="xx").status_code == 400
    assert do(service, url, "name", name="Änn <b>").status_code == 200
    assert len(service.rows("SELECT id FROM consent_events WHERE kind = 'edit'")) == 2  # no change, no trace


def test_everything_that_is_held_is_in_the_copy(service: Service) -> None:
    service.sign_up(ANN, name="Ann")
    service.client.post(path(service.mail_to(ANN)[-1].link("confirm")))

    answer = service.client.get(f"{whole_path(service)}/copy")

    assert answer.headers["Content-Disposition"].startswith("attachment")
    copy = json.loads(answer.data)
    assert (copy["email"], copy["name"]) == (ANN, "Ann")
    (daily,) = copy["subscriptions"]
    assert [event["event"] for event in daily["consent_history"]] == ["sign_up", "confirm"]
    assert daily["consent_history"][0]["words"].startswith("Get daily news")
    assert daily["consent_history"][0]["network"] == "127.0.0.1"
    assert [mail["kind"] for mail in daily["emails"]] == ["confirmation", "links"]
    assert copy["returned_emails"] == []


def test_what_came_back_of_their_mail_is_in_the_copy(service: Service) -> None:
    service.confirmed(ANN)
    page = whole_path(service)
    came = Return(ReturnKind.BOUNCE, "a full mailbox", "lmtp", address=ANN, status="4.2.2")
    writing(service, lambda session: take_return(session, service.settings, now(), came))

    (told,) = json.loads(service.client.get(f"{page}/copy").data)["returned_emails"]

    assert (told["kind"], told["status"], told["verdict"], told["way"]) == (
        "bounce",
        "4.2.2",
        "count",
        "lmtp",
    )


def test_what_is_no_deed_is_refused_and_changes_nothing(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    url, before = own_path(on_sqlite), everything(on_sqlite)

    bodies: list[dict[str, Any]] = [
        {"data": {"do": "dance"}},
        {"data": b""},
        {"data": b"\xff\xfe"},
        {"json": {"do": ["pause"]}},
        {"json": [1]},
    ]
    for body in bodies:
        assert on_sqlite.client.post(url, **body).status_code in (400, 411), body
    assert everything(on_sqlite) == before


def test_the_evidence_of_a_deed_holds_no_token(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    url = own_path(on_sqlite)

    on_sqlite.client.post(
        url,
        data={"do": "pause", "subscription": held(on_sqlite), "until": in_days(9)},
        headers={"Referer": f"https://news.example{url}"},
    )

    assert (
        on_sqlite.one("SELECT page FROM consent_events WHERE kind = 'edit'") == "https://news.example/manage"
    )


def test_send_me_my_link_reaches_who_left_but_not_who_complained(service: Service) -> None:
    service.confirmed(ANN)
    service.confirmed(BOB)
    service.client.post(path(service.mail_to(ANN)[-1].link("unsubscribe")))
    service.write(
        "UPDATE subscriptions SET state = 'complained' WHERE subscriber_id = "
        "(SELECT id FROM subscribers WHERE address = :bob)",
        bob=BOB,
    )
    before = len(service.mail_to(BOB))

    page = service.client.get(whole_path(service)).text

    assert "You’re unsubscribed." in page
    service.client.post("/unsubscribe", data={"email": BOB})
    assert len(service.mail_to(BOB)) == before


def test_the_console_shows_a_pause_and_offers_no_way_to_end_it(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    do(on_sqlite, own_path(on_sqlite), "pause", subscription=held(on_sqlite), until=in_days(9))

    page = Console.of(on_sqlite, "chief@example.org").get(
        f"/operator/lists/daily/subscribers/{held(on_sqlite)}"
    )

    assert "Paused by themselves until" in page.text
    assert "resume" not in page.text.lower()


def test_an_archive_and_what_imports_it_keep_a_pause(service: Service) -> None:
    service.confirmed(ANN)
    do(service, own_path(service), "pause", subscription=held(service), until=in_days(9))
    archive = exported(service, format=Format.ARCHIVE)
    assert ANN.encode() in archive
    service.write("DELETE FROM subscriptions")
    service.write("DELETE FROM subscribers")

    imported(service, archive)

    assert service.states() == {ANN: "confirmed"}
    assert ANN.encode() not in exported(service)
