"""One reminder to those who never confirmed, where the list wants it; and never a second one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from newsletter.domain.languages import LANGUAGES
from newsletter.queries import driver_cursor
from newsletter.services import lists, remind, suppress
from newsletter.services.remind import Reminded
from newsletter.work.reminders import RemindUnconfirmed
from tests.support.acting import the_list, writing
from tests.support.service import Service, now, path


def _reminding(service: Service, hours: int | None = 48) -> Service:
    writing(service, lambda session: lists.edit(session, "daily", {"reminder_after_hours": hours}))
    return service


def _waiting(service: Service, *addresses: str, **age: float) -> None:
    """Sign-ups whose confirmation was sent, and that were then left alone for a time."""
    for address in addresses or ("ann@example.org",):
        service.sign_up(address)
    service.send_mail()
    service.age(**age or {"hours": 49})


def _kinds(service: Service) -> list[str]:
    return [kind for (kind,) in service.rows("SELECT kind FROM outbox ORDER BY created_at, id")]


def test_who_has_not_confirmed_is_reminded_once_and_the_link_confirms(service: Service) -> None:
    _waiting(_reminding(service))
    for _ in range(3):
        service.work()

    _, reminder = service.mail_to()
    assert reminder.message["Subject"] == "Reminder: please confirm Daily News"
    assert "This is the only reminder." in reminder.part("plain")
    assert "This is the only reminder." in reminder.part("html")
    assert service.client.post(path(reminder.link("confirm"))).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.events() == ["sign_up", "confirm"]


def test_a_list_that_says_nothing_reminds_nobody(service: Service) -> None:
    _waiting(service, days=3)
    service.work()

    assert _kinds(service) == ["confirmation"]


def test_nobody_is_reminded_before_the_time_has_passed_since_the_mail_was_sent(service: Service) -> None:
    _reminding(service).sign_up()
    service.age(hours=49)  # the relay was away
    service.work()
    assert _kinds(service) == ["confirmation"]

    service.send_mail()
    service.age(hours=47)
    service.work()
    assert _kinds(service) == ["confirmation"]

    service.age(hours=2)
    service.work()
    assert _kinds(service) == ["confirmation", "reminder"]


def test_there_is_never_a_second_one_whoever_types_the_address_again(service: Service) -> None:
    _waiting(_reminding(service))
    service.work()
    service.send_mail()
    service.age(hours=49)
    service.sign_up()
    service.send_mail()
    service.age(hours=49)
    service.work()

    assert _kinds(service).count("reminder") == 1


def test_a_sign_up_after_leaving_may_be_reminded_again(service: Service) -> None:
    mail = _reminding(service).confirmed()
    service.age(days=40)
    service.client.post(path(mail.link("unsubscribe")))
    _waiting(service)
    service.work()

    assert _kinds(service) == ["confirmation", "confirmation", "reminder"]


@pytest.mark.parametrize("way", ["confirmed", "unsubscribed", "suppressed", "bounced", "expired", "refused"])
def test_whom_it_would_not_reach_or_not_please_is_not_reminded(service: Service, way: str) -> None:
    if way == "refused":
        service.sink.on_rcpt = lambda _recipient: "550 5.1.1 nobody here"
    _reminding(service).sign_up()
    service.send_mail()
    match way:
        case "confirmed":
            service.client.post(path(service.sink.mails[0].link("confirm")))
        case "unsubscribed":
            service.client.post(path(service.sink.mails[0].link("unsubscribe")))
        case "suppressed":
            settings = service.settings
            writing(
                service,
                lambda session: suppress.suppress(
                    session, settings, now(), "ann@example.org", reason="complaint"
                ),
            )
        case "bounced":
            service.write("UPDATE subscriptions SET state = 'bounced'")
    service.age(days=8 if way == "expired" else 3)
    service.work()

    assert _kinds(service) == ["confirmation"]


def test_who_confirms_before_it_is_sent_gets_none(service: Service) -> None:
    _waiting(_reminding(service))
    service.work()
    service.client.post(path(service.sink.mails[0].link("confirm")))

    assert len(service.mail_to()) == 1
    assert service.one("SELECT status FROM outbox WHERE kind = 'reminder'") == "cancelled"


def test_d9_a_reminder_waits_for_the_bounds_and_counts_in_them(service: Service) -> None:
    _reminding(service, hours=1)
    for _ in range(3):
        service.sign_up()
        service.send_mail()
        service.age(hours=2)
    service.work()
    assert _kinds(service) == ["confirmation"] * 3  # three in a day

    service.age(hours=24)
    service.work()
    assert _kinds(service) == ["confirmation"] * 3 + ["reminder"]
    service.send_mail()
    service.sign_up()  # within the cool-down after the reminder
    assert _kinds(service) == ["confirmation"] * 3 + ["reminder"]


def test_two_workers_at_once_remind_everybody_once(service: Service) -> None:
    _waiting(_reminding(service), *(f"reader{number}@example.org" for number in range(30)))
    start = threading.Barrier(2)

    def work(_: int) -> None:
        start.wait()
        RemindUnconfirmed(service.app, service.settings).work(threading.Event())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))

    assert _kinds(service) == ["confirmation"] * 30 + ["reminder"] * 30
    assert service.one("SELECT count(DISTINCT subscription_id) FROM outbox WHERE kind = 'reminder'") == 30


def test_a_reminder_that_is_there_already_is_not_made_again(service: Service) -> None:
    """The idempotency key holds where the mark of the subscription is lost."""
    _waiting(_reminding(service))
    service.work()
    service.write("UPDATE subscriptions SET reminded = 0")
    service.work()

    assert _kinds(service) == ["confirmation", "reminder"]


def test_a_round_goes_on_where_the_last_batch_ended(service: Service) -> None:
    _waiting(_reminding(service), *(f"reader{number}@example.org" for number in range(5)))
    daily, settings = the_list(service), service.settings
    batches: list[Reminded] = []
    while not batches or batches[-1].last is not None:
        after = batches[-1].last if batches else None
        remind_two = partial(
            remind.remind, settings=settings, now=now(), mailing_list=daily, after=after, limit=2
        )
        batches.append(writing(service, remind_two))

    assert [batch.made for batch in batches] == [2, 2, 1]


def test_whom_it_is_due_for_is_found_by_the_index_made_for_that(service: Service) -> None:
    daily = the_list(service).id
    values = {"list_id": daily, "until": now(), "begin": now(), "last": daily, "most": 500}

    def explain(session: Session) -> str:
        connection = session.connection()
        if service.on_postgresql:  # it would rather read an empty table whole
            session.execute(text("SET LOCAL enable_seqscan = off"))
        prepared = remind._DUE._for(connection.dialect)
        with driver_cursor(connection) as cursor:
            plan = "EXPLAIN" if service.on_postgresql else "EXPLAIN QUERY PLAN"
            cursor.execute(f"{plan} {prepared.sql}", prepared.parameters(values))
            return "\n".join(str(tuple(row)) for row in cursor.fetchall())

    plan = writing(service, explain)
    assert "ix_subscriptions_not_reminded" in plan
    assert "TEMP B-TREE" not in plan


def test_a_reminder_speaks_the_language_of_its_reader(on_sqlite: Service) -> None:
    _reminding(on_sqlite)
    for language in LANGUAGES:
        on_sqlite.sign_up(f"{language}@example.org", locale=language)
    on_sqlite.send_mail()
    on_sqlite.age(hours=49)
    on_sqlite.work()
    mails = {language: on_sqlite.mail_to(f"{language}@example.org")[-1] for language in LANGUAGES}

    assert len({str(mail.message["Subject"]) for mail in mails.values()}) == len(LANGUAGES)
    for language, mail in mails.items():
        assert f'lang="{language}"' in mail.part("html")
        assert mail.link("confirm")
