"""Webhooks: who is told what, signed how, again when, and never of somebody who was erased."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

from newsletter.domain.lifecycle import Event, State
from newsletter.extensions import db
from newsletter.services import notify, webhooks
from newsletter.services.journal import Entry
from newsletter.work import errands
from newsletter.work.errands import run_once
from tests.support.receiver import Receiver, answer, ok, receiving
from tests.support.service import Service, eventually, now, path
from tests.support.webhooks import add, hurry, statuses, stored, view


def test_each_event_is_told_once_and_signed(service: Service, receiver: Receiver) -> None:
    _, secret = add(service, receiver.url)
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.work()
    service.work()

    assert receiver.types == [
        "subscription.subscribed", "subscription.confirmed", "subscription.unsubscribed",
    ]  # fmt: skip
    assert all(told.is_signed_with(secret) for told in receiver.told)
    assert not receiver.told[0].is_signed_with("whsec_" + "A" * 44)
    assert len({told.id for told in receiver.told}) == 3
    assert statuses(service) == ["sent"] * 3


def test_a_message_tells_what_is_held_now(service: Service, receiver: Receiver) -> None:
    add(service, receiver.url, ["subscribed"])
    service.sign_up("ann@example.org")
    service.work()

    (told,) = receiver.told
    assert told.headers["content-type"] == "application/json"
    assert told.headers["host"] == f"127.0.0.1:{receiver.port}"
    message = told.message
    assert message["type"] == "subscription.subscribed"
    assert message["data"] | {"id": 0, "subscriber": 0} == {
        "list": "daily", "seq": 1, "id": 0, "state": "pending", "subscriber": 0,
    }  # fmt: skip
    assert message["data"]["subscriber"]["email"] == "ann@example.org"
    assert message["timestamp"] == message["data"]["subscriber"]["created_at"]


def test_only_what_was_asked_for_is_told_and_only_of_its_list(service: Service, receiver: Receiver) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    add(service, receiver.url, ["confirmed"])
    service.confirmed("ann@example.org")
    service.confirmed("bob@example.org", "sport")
    service.sign_up("ann@example.org")
    service.work()

    assert receiver.types == ["subscription.confirmed"]


def test_a_confirmation_is_told_by_the_running_worker(service: Service, receiver: Receiver) -> None:
    add(service, receiver.url, ["confirmed"])
    with service.process("worker"):
        service.sign_up("ann@example.org")
        eventually(lambda: service.sink.to("ann@example.org"))
        service.client.post(path(service.sink.to("ann@example.org")[-1].link("confirm")))
        eventually(lambda: receiver.told)

    assert receiver.types == ["subscription.confirmed"]
    assert statuses(service) == ["sent"]


def test_who_was_erased_while_a_message_waited_is_not_named(service: Service, receiver: Receiver) -> None:
    add(service, receiver.url)
    receiver.stop()
    service.sign_up("ann@example.org")
    service.work()
    service.send_mail()
    service.age(days=70)
    service.send_mail()
    assert service.counts()["subscribers"] == 0
    receiver.start()
    hurry(service)
    service.work()

    assert sorted(receiver.types) == ["subscription.erased", "subscription.subscribed"]
    assert not any(b"ann" in told.body for told in receiver.told)
    assert all(told.message["data"]["subscriber"] is None for told in receiver.told)
    assert not any("ann" in str(row) for row in service.rows("SELECT * FROM webhook_deliveries"))


def test_a_receiver_that_was_down_is_told_when_it_is_back(service: Service, receiver: Receiver) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    receiver.stop()
    service.sign_up("ann@example.org")
    service.work()
    assert service.rows("SELECT status, attempts, answer, last_error FROM webhook_deliveries") == [
        ("awaiting_retry", 1, None, "no connection: Connection refused")
    ]
    assert view(service, webhook).failing_since is not None

    receiver.start()
    hurry(service)
    service.work()
    assert receiver.types == ["subscription.subscribed"]
    assert service.rows("SELECT status, attempts, answer, last_error FROM webhook_deliveries") == [
        ("sent", 2, 204, None)
    ]
    assert view(service, webhook).failing_since is None


def test_a_500_is_tried_again_later_under_the_same_id(service: Service, receiver: Receiver) -> None:
    add(service, receiver.url, ["subscribed"])
    receiver.respond = lambda handler: answer(handler, 500)
    service.sign_up("ann@example.org")
    service.work()
    service.work()
    assert len(receiver.told) == 1

    receiver.respond = ok
    hurry(service)
    service.work()
    first, second = receiver.told
    assert first.id == second.id
    assert statuses(service) == ["sent"]


def test_a_worker_killed_after_sending_tells_it_again_under_the_same_id(
    service: Service, receiver: Receiver
) -> None:
    add(service, receiver.url, ["subscribed"])
    arrived, release = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        arrived.set()
        release.wait(120)
        answer(handler, 204)

    receiver.respond = hold
    with service.process("worker") as worker:
        service.sign_up("ann@example.org")
        assert arrived.wait(120)
        worker.kill()
        worker.wait()
    release.set()
    assert statuses(service) == ["inflight"]
    receiver.respond = ok
    service.work()
    assert len(receiver.told) == 1, "it is another worker's until its lease ends"

    hurry(service)
    service.work()
    first, second = receiver.told
    assert first.id == second.id
    assert first.message == second.message
    assert service.rows("SELECT status, attempts FROM webhook_deliveries") == [("sent", 2)]


def test_a_worker_that_is_told_to_stop_finishes_the_message_in_hand_and_gives_the_rest_back(
    service: Service, receiver: Receiver
) -> None:
    add(service, receiver.url, ["subscribed"])
    stop = threading.Event()

    def stop_and_answer(handler: BaseHTTPRequestHandler) -> None:
        stop.set()
        answer(handler, 204)

    receiver.respond = stop_and_answer
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    run_once(errands(service.app, service.settings), stop)
    eventually(
        lambda: (
            service.rows("SELECT status, attempts FROM webhook_deliveries ORDER BY id")
            == [("sent", 1), ("queued", 0)]
        )
    )

    assert len(receiver.told) == 1


def test_a_slow_receiver_holds_up_no_other(service: Service, receiver: Receiver) -> None:
    release = threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        release.wait(120)
        answer(handler, 204)

    receiver.respond = hold
    with receiving() as quick:
        add(service, receiver.url, ["subscribed"])
        add(service, quick.url, ["subscribed"])
        with service.process("worker"):
            for number in range(3):
                service.sign_up(f"reader-{number}@example.org")
            eventually(lambda: len(quick.told) == 3 and receiver.told)
            # It may have been told again by now, but of nothing else.
            assert len({told.id for told in receiver.told}) == 1
            release.set()
            eventually(lambda: statuses(service) == ["sent"] * 6)
    assert len({told.id for told in receiver.told}) == 3


def test_messages_arrive_in_their_order_while_all_goes_well(service: Service, receiver: Receiver) -> None:
    add(service, receiver.url)
    for number in range(20):
        service.sign_up(f"reader-{number}@example.org")
    service.work()

    assert [told.message["data"]["seq"] for told in receiver.told] == list(range(1, 21))


def test_410_switches_the_webhook_off(service: Service, receiver: Receiver) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    receiver.respond = lambda handler: answer(handler, 410)
    service.sign_up("ann@example.org")
    service.work()
    service.sign_up("bob@example.org")
    service.work()

    assert len(receiver.told) == 1
    assert statuses(service) == ["failed"]
    assert view(service, webhook).disabled_because == notify.GONE
    assert service.rows("SELECT actor, action, subject FROM audit_events ORDER BY id")[-1] == (
        "worker", "webhook.disabled", str(webhook),
    )  # fmt: skip


def _let_time_pass(service: Service, attempts: int, **by: float) -> None:
    then = now() - timedelta(**by)
    service.write("UPDATE webhook_deliveries SET attempts = :attempts", attempts=attempts)
    service.write("UPDATE webhooks SET failing_since = :then", then=stored(service, then))
    hurry(service)
    service.work()


def test_a_message_is_given_up_after_ten_attempts_and_the_webhook_after_days(
    service: Service, receiver: Receiver
) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    receiver.respond = lambda handler: answer(handler, 500)
    service.sign_up("ann@example.org")
    service.work()
    _let_time_pass(service, 8, days=4)
    assert statuses(service) == ["awaiting_retry"]
    _let_time_pass(service, 9, days=4)
    assert statuses(service) == ["failed"]
    assert view(service, webhook).disabled_at is None

    service.sign_up("bob@example.org")
    service.work()
    _let_time_pass(service, 9, days=6)
    assert view(service, webhook).disabled_because == notify.SILENT


def test_a_receiver_that_asks_for_time_gets_it(service: Service, receiver: Receiver) -> None:
    add(service, receiver.url, ["subscribed"])
    receiver.respond = lambda handler: answer(handler, 429, Retry_After="7200")
    service.sign_up("ann@example.org")
    service.work()

    soon = now() + timedelta(hours=1, minutes=50)
    assert (
        service.one(
            "SELECT count(*) FROM webhook_deliveries WHERE next_attempt_at > :soon",
            soon=stored(service, soon),
        )
        == 1
    )


def test_an_address_that_became_private_is_not_called(make_service: Callable[..., Service]) -> None:
    allowed = make_service("sqlite", NEWSLETTER_WEBHOOKS_TO_PRIVATE="on")
    with receiving() as receiver:
        add(allowed, receiver.url.replace("http", "https").replace("127.0.0.1", "localhost"), ["subscribed"])
        service = Service(allowed.environ | {"NEWSLETTER_WEBHOOKS_TO_PRIVATE": "off"}, allowed.sink)
        service.sign_up("ann@example.org")
        service.work()

        assert receiver.told == []
        assert "private network" in service.one("SELECT last_error FROM webhook_deliveries")


def test_a_list_without_a_webhook_costs_one_look_for_a_whole_batch(on_sqlite: Service) -> None:
    entries = [
        Entry(seq, uuid4(), uuid4(), Event.CONFIRM, State.PENDING, State.CONFIRMED, now(), "page")
        for seq in range(1000)
    ]
    statements: list[str] = []
    with on_sqlite.app.app_context():
        driver = db.session.connection().connection.driver_connection
        assert driver is not None
        driver.set_trace_callback(statements.append)
        assert webhooks.fan_out(db.session(), now(), entries) == 0
        driver.set_trace_callback(None)
        db.session.rollback()
    assert len(statements) == 1
