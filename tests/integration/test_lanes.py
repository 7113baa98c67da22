"""Lanes: what a visitor waits for goes before what waits in numbers, and all of it goes."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import flask_migrate
from sqlalchemy import text

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.models.outbox import LANES, Kind, Lane
from newsletter.paths import MIGRATIONS
from newsletter.services import alarms, deliver, lists, outbox_log
from newsletter.services.access import COMMAND_LINE
from newsletter.services.renew import renew
from tests.support.acting import the_list, writing
from tests.support.importing import imported
from tests.support.operators import Console
from tests.support.outbox import fill
from tests.support.service import Service, now

# Enough that no planner reads them all for the few that it needs.
MANY = 20_000


def claim(service: Service, limit: int = 3) -> list[str]:
    """Whom the mails are for that a worker claims next."""
    with service.app.app_context(), write_transaction(db.session()):
        limits = dict.fromkeys(Lane, limit)
        claimed = deliver.claim(db.session(), service.settings, now(), lease_id=uuid4(), limits=limits)
        return [message.address for message in claimed.messages]


def lanes(service: Service) -> list[tuple[str, str]]:
    rows = service.rows("SELECT kind, lane FROM outbox ORDER BY created_at, id")
    return [(kind, Lane(lane).name) for kind, lane in rows]


def test_every_kind_of_mail_has_a_lane() -> None:
    assert set(LANES) == set(Kind)


def test_what_a_visitor_waits_for_is_claimed_before_what_an_import_asks(service: Service) -> None:
    imported(service, "email\na@example.org\nb@example.org\n", ask_per_hour=10_000)
    service.age(minutes=1)
    service.sign_up("ann@example.org")

    assert lanes(service) == [("confirmation", "BULK")] * 2 + [("confirmation", "INTERACTIVE")]
    assert claim(service)[0] == "ann@example.org"


def test_who_asks_while_their_mail_waits_among_many_gets_it_at_once(service: Service) -> None:
    fill(service, 10)
    fill(service, 2, start=100, kind=Kind.REMINDER)
    service.sign_up("reader7@bulk.example")
    service.sign_up("reader100@bulk.example")
    fresh = service.one("SELECT subscription_id FROM outbox WHERE message_id = '<8@news.example>'")
    writing(service, lambda session: renew(session, service.settings, now(), [UUID(str(fresh))]))

    first = service.rows("SELECT message_id FROM outbox WHERE lane = 1 ORDER BY next_attempt_at")
    assert first == [("<7@news.example>",), ("<100@news.example>",), ("<8@news.example>",)]
    assert claim(service)[:3] == [f"reader{number}@bulk.example" for number in (7, 100, 8)]
    assert service.counts()["outbox"] == 12


def test_what_failed_and_is_tried_again_in_numbers_goes_behind_what_visitors_wait_for(
    service: Service,
) -> None:
    fill(service, 3, lane=Lane.INTERACTIVE)
    service.write("UPDATE outbox SET status = 'failed'")
    list_id = the_list(service).id
    then = now() - timedelta(seconds=1)
    assert (
        writing(service, lambda session: outbox_log.retry_failed(session, then, COMMAND_LINE, list_id)) == 3
    )
    service.sign_up("ann@example.org")

    assert claim(service)[0] == "ann@example.org"


def test_b3_while_we_are_refused_reminders_wait_as_imports_do(service: Service) -> None:
    fill(service, 1)
    fill(service, 1, start=2, kind=Kind.REMINDER)
    fill(service, 1, start=3, lane=Lane.INTERACTIVE)
    for _ in range(alarms.STOPS_AT):
        writing(service, lambda session: alarms.sound(session, now(), alarms.SENDER_REFUSED, "550 5.7.1"))

    assert claim(service) == ["reader3@bulk.example"]
    assert service.one("SELECT count(*) FROM outbox WHERE status = 'queued'") == 2


def test_claiming_reads_no_more_than_it_takes_however_much_waits(service: Service) -> None:
    fill(service, MANY)
    service.sign_up("ann@example.org")
    service.write("ANALYZE")
    with service.app.app_context(), db.engine.connect() as connection:
        for lane in Lane:
            prepared = deliver._DUE._for(connection.dialect)
            values = prepared.parameters({"lane": lane.value, "now": now(), "most": 50})
            explain = "EXPLAIN " if service.on_postgresql else "EXPLAIN QUERY PLAN "
            cursor = connection.connection.cursor()
            cursor.execute(explain + prepared.sql, values)
            plan = "\n".join(str(row) for row in cursor.fetchall())
            cursor.close()
            assert "ix_outbox_lane" in plan
            assert "Seq Scan" not in plan
            assert "SORT" not in plan.upper().replace("SORTED", "")

    assert claim(service, 1)[0] == "ann@example.org"


def test_the_console_and_the_metrics_tell_what_waits_in_which_lane(service: Service) -> None:
    fill(service, 3)
    service.sign_up("ann@example.org")

    page = Console.of(service, "owner@example.org").get("/operator/lists/daily/outbox").text
    assert page.index("First: somebody waits for it") < page.index("Last: one of many")
    figures = service.client.get("/metrics").text
    assert 'newsletter_outbox_lane_waiting{lane="interactive"} 1.0' in figures
    assert 'newsletter_outbox_lane_waiting{lane="transactional"} 0.0' in figures
    assert 'newsletter_outbox_lane_waiting{lane="bulk"} 3.0' in figures
    assert "newsletter_outbox_waiting 4.0" in figures


def test_an_older_outbox_gets_its_lanes_by_the_migration(service: Service) -> None:
    writing(service, lambda session: lists.edit(session, "daily", {"welcome": "Hello"}))
    service.confirmed("ann@example.org")
    imported(service, "email\nb@example.org\nc@example.org\n", ask_per_hour=1)
    service.sign_up("c@example.org")  # which asks for what the import puts off
    before = lanes(service)
    assert [lane for _, lane in before] == ["INTERACTIVE", "TRANSACTIONAL", "BULK", "INTERACTIVE"]
    with service.app.app_context():
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0007")
        with db.engine.connect() as connection:
            keys = connection.execute(text("SELECT idempotency_key FROM outbox ORDER BY created_at, id"))
            assert [key.partition(":")[0] for (key,) in keys][2:] == ["import", "wanted import"]
        flask_migrate.upgrade(directory=str(MIGRATIONS))

    assert lanes(service) == before
