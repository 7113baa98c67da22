"""The journal of all that happens to subscriptions: numbered as it was committed, and counted by day."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import flask_migrate
from sqlalchemy import text

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.paths import MIGRATIONS
from newsletter.services import journal, lists, overview
from tests.support.service import Service, path

EVERYTHING = "SELECT seq, kind, before, after FROM consent_events ORDER BY seq"


def test_each_event_tells_the_state_before_and_after(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.sign_up("ann@example.org")
    service.work()

    assert service.rows(EVERYTHING) == [
        (1, "sign_up", None, "pending"),
        (2, "confirm", "pending", "confirmed"),
        (3, "unsubscribe", "confirmed", "unsubscribed"),
        (4, "sign_up", "unsubscribed", "pending"),
    ]


def test_the_counts_are_those_of_the_subscriptions_themselves(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.client.post(path(service.confirmed("bob@example.org").link("unsubscribe")))
    service.sign_up("cem@example.org")
    service.work()

    with service.app.app_context():
        mailing_list = lists.find(db.session(), "daily")
        assert mailing_list is not None
        counted = overview.states_of(db.session(), [mailing_list.id])[mailing_list.id]
        assert {state.value: number for state, number in counted.items() if number} == lists.counts(
            db.session(), mailing_list.id
        )
    assert counted == dict.fromkeys(State, 0) | {
        State.CONFIRMED: 1, State.UNSUBSCRIBED: 1, State.PENDING: 1,
    }  # fmt: skip


def test_what_is_purged_leaves_an_event_that_tells_nothing_but_that(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    service.work()
    service.age(days=70)
    service.send_mail()
    service.work()

    assert service.rows(
        "SELECT kind, before, after, network, page, agent, message_id FROM consent_events"
    ) == [("forget", "pending", None, None, None, None, None)]
    assert service.rows("SELECT seq FROM consent_events") == [(2,)]


def test_who_is_forgotten_before_they_were_numbered_leaves_the_counts_right(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    service.work()
    service.sign_up("bob@example.org")
    service.send_mail()
    service.age(days=70)
    service.send_mail()
    assert service.counts()["subscriptions"] == 0
    service.work()

    assert service.rows("SELECT before, after FROM consent_events ORDER BY seq") == [
        ("pending", None), (None, None),
    ]  # fmt: skip
    with service.app.app_context():
        mailing_list = lists.find(db.session(), "daily")
        assert mailing_list is not None
        counted = overview.states_of(db.session(), [mailing_list.id])[mailing_list.id]
    assert counted == dict.fromkeys(State, 0)


def test_who_is_forgotten_while_they_are_numbered_is_waited_for_by_nobody(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("postgresql")
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    with service.app.app_context(), db.engine.connect() as forgetting:
        forgetting.execute(text("DELETE FROM consent_events WHERE id = (SELECT min(id) FROM consent_events)"))
        _number(service)
        forgetting.commit()
    service.work()

    assert service.rows("SELECT seq FROM consent_events") == [(1,)]
    assert service.one("SELECT sum(number) FROM tallies") == 1


def test_events_that_are_committed_late_get_the_later_number(make_service: Callable[..., Service]) -> None:
    service = make_service("postgresql")
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    late, early = service.rows("SELECT id, list_id, subscription_id FROM consent_events ORDER BY id")
    service.write("DELETE FROM consent_events")
    add = text(
        "INSERT INTO consent_events (id, list_id, subscription_id, kind, at, way) "
        "VALUES (:id, :list, :subscription, 'sign_up', now(), 'form')"
    )
    with service.app.app_context(), db.engine.connect() as first, db.engine.connect() as second:
        first.execute(add, {"id": late[0], "list": late[1], "subscription": late[2]})
        second.execute(add, {"id": early[0], "list": early[1], "subscription": early[2]})
        second.commit()
        _number(service)
        first.commit()
        _number(service)

    assert service.rows("SELECT id, seq FROM consent_events ORDER BY seq") == [(early[0], 1), (late[0], 2)]


def test_many_numberers_at_once_give_each_event_one_number(service: Service) -> None:
    for number in range(60):
        service.sign_up(f"reader-{number}@example.org")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: _number(service, limit=7), range(40)))
    service.work()

    assert [seq for (seq,) in service.rows("SELECT seq FROM consent_events ORDER BY seq")] == list(
        range(1, 61)
    )
    assert service.one("SELECT sum(number) FROM tallies") == 60


def test_an_older_database_is_numbered_and_counted_by_the_migration(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.sign_up("bob@example.org", name="Bärbel")
    with service.app.app_context():
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0002")
        flask_migrate.upgrade(directory=str(MIGRATIONS))

    assert service.rows(EVERYTHING) == [
        (1, "sign_up", None, "pending"),
        (2, "confirm", "pending", "confirmed"),
        (3, "unsubscribe", "confirmed", "unsubscribed"),
        (4, "sign_up", None, "pending"),
    ]
    assert service.one("SELECT sum(number) FROM tallies") == 4
    assert service.rows("SELECT search FROM subscribers ORDER BY search") == [
        ("ann@example.org",), ("bob@example.org bärbel",),
    ]  # fmt: skip
    service.confirmed("cem@example.org")


def _number(service: Service, limit: int | None = None) -> None:
    with service.app.app_context():
        session = db.session()
        with write_transaction(session):
            journal.number(session, limit=limit)
