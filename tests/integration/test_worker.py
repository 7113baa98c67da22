"""The worker: what it sends, when it tries again, and what survives when things die."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.models.outbox import Lane
from newsletter.services import attempts, deliver
from tests.support.postgres import Postgres
from tests.support.service import Service, eventually, now, path
from tests.support.smtp import Received


def _claim(service: Service, limit: int = 10, at: datetime | None = None) -> list[deliver.Claimed]:
    with service.app.app_context(), write_transaction(db.session()):
        limits = dict.fromkeys(Lane, limit)
        return deliver.claim(
            db.session(), service.settings, at or now(), lease_id=uuid4(), limits=limits
        ).messages


def test_an_accepted_mail_is_recorded_as_sent(service: Service) -> None:
    service.sign_up()
    service.send_mail()

    assert service.rows("SELECT status, attempts, last_error FROM outbox") == [("sent", 1, None)]
    assert service.one("SELECT sent_at FROM outbox") is not None


def test_s5_a_4xx_is_tried_again_later_and_not_at_once(service: Service) -> None:
    service.sink.on_rcpt = lambda _address: "451 4.7.1 greylisted"
    service.sign_up()
    service.send_mail()
    service.send_mail()
    assert service.rows("SELECT status, attempts FROM outbox") == [("awaiting_retry", 1)]
    assert "greylisted" in service.one("SELECT last_error FROM outbox")

    service.sink.on_rcpt = lambda _address: None
    service.age(minutes=2)
    assert len(service.mail_to()) == 1
    assert service.statuses() == ["sent"]


def test_s5_a_5xx_is_given_up_and_the_others_go_on(service: Service) -> None:
    service.sink.on_rcpt = lambda address: "550 5.1.1 no such user" if address.startswith("ann") else None
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    service.send_mail()

    assert service.statuses() == ["failed", "sent"]
    service.age(days=1)
    service.send_mail()
    assert service.sink.to("ann@example.org") == []


def test_b3_a_policy_refusal_of_the_sender_is_not_held_against_the_recipient(service: Service) -> None:
    service.sink.on_data = lambda _mail: "550 5.7.26 unauthenticated sender"
    service.sign_up()
    service.send_mail()

    assert service.statuses() == ["awaiting_retry"]


def test_s5_a_message_is_given_up_after_three_days(service: Service) -> None:
    service.sink.on_rcpt = lambda _address: "451 later"
    service.sign_up()
    service.age(days=4)
    service.send_mail()

    assert service.statuses() == ["failed"]


@pytest.mark.parametrize("stage", ["on_rcpt", "on_data"])
def test_s5_421_for_one_message_holds_up_no_other_and_loses_nothing(service: Service, stage: str) -> None:
    setattr(service.sink, stage, lambda about: "421 4.3.2 closing" if "ann@" in _about(about) else None)
    for name in ("ann", "bob"):
        service.sign_up(f"{name}@example.org")
    service.send_mail()
    assert service.statuses() == ["awaiting_retry", "sent"]

    setattr(service.sink, stage, lambda _about: None)
    service.age(minutes=2)
    service.send_mail()
    assert service.statuses() == ["sent", "sent"]


def _about(what: object) -> str:
    return what.recipient if isinstance(what, Received) else str(what)


def test_a_sender_that_the_relay_refuses_holds_up_no_other_list(service: Service) -> None:
    service.command("lists", "add", "wrong", "--name", "Wrong", "--from", "Wrong <wrong@wrong.example>")
    service.sink.on_mail = lambda sender: "550 5.7.1 not yours" if "wrong" in sender else None
    service.sign_up("ann@example.org", "wrong")
    service.sign_up("bob@example.org", "daily")
    service.send_mail()

    assert service.statuses() == ["awaiting_retry", "sent"]


@pytest.mark.parametrize(
    ("reply", "status"), [("451 4.3.0 later", "awaiting_retry"), ("554 5.6.0 never", "failed")]
)
def test_s5_a_refused_data_command_is_the_messages_own_affair(
    service: Service, reply: str, status: str
) -> None:
    service.sink.before_data = reply
    service.sign_up("ann@example.org")
    service.send_mail()

    assert service.statuses() == [status]


def test_s6_a_result_is_kept_until_the_database_takes_it(
    make_service: Callable[..., Service], postgres: Postgres
) -> None:
    service = make_service("postgresql", NEWSLETTER_OUTBOX_LEASE_SECONDS="30")
    service.sign_up("ann@example.org")
    away = threading.Event()

    def take_the_database_away(_mail: object) -> None:
        if not away.is_set():
            postgres.pause()
            away.set()

    service.sink.on_data = take_the_database_away
    with service.process("worker"):
        try:
            assert away.wait(120)
        finally:
            postgres.resume()
        eventually(lambda: service.statuses() == ["sent"])

    assert len(service.sink.mails) == 1


def test_a_dead_relay_delays_mail_and_loses_none(service: Service) -> None:
    service.sink.stop()
    with service.process("worker"):
        for number in range(5):
            service.sign_up(f"u{number}@example.org")
        eventually(lambda: service.one("SELECT count(*) FROM outbox WHERE status = 'queued'") == 5)
        service.sink.start()
        eventually(lambda: len(service.sink.mails) == 5)
    assert service.statuses() == ["sent"] * 5


@pytest.mark.parametrize("connections", [1, 3])
def test_connections_to_the_relay_are_kept_and_no_more_than_the_setting_says(
    make_service: Callable[..., Service], connections: int
) -> None:
    service = make_service("sqlite", NEWSLETTER_SMTP_CONNECTIONS=str(connections))
    for number in range(10):
        service.sign_up(f"u{number}@example.org")
    service.send_mail()

    assert len(service.sink.mails) == 10
    assert len({mail.session for mail in service.sink.mails}) <= connections


def test_s7_a_message_whose_reason_is_gone_is_cancelled_when_claimed(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.write("UPDATE subscriptions SET state = 'confirmed'")

    assert service.mail_to("ann@example.org") == []
    assert service.statuses() == ["cancelled"]


def test_s7_a_suppressed_address_gets_nothing_even_from_a_queued_message(service: Service) -> None:
    from newsletter.services.suppress import suppress

    service.sign_up("ann@example.org")
    with service.app.app_context(), write_transaction(db.session()):
        suppress(db.session(), service.settings, now(), "ann@example.org", reason="complaint")

    assert service.mail_to("ann@example.org") == []
    assert service.statuses() == ["cancelled"]


def test_two_claims_never_hold_the_same_message(service: Service) -> None:
    for number in range(20):
        service.sign_up(f"u{number}@example.org")
    claims: list[deliver.Claimed] = []
    threads = [threading.Thread(target=lambda: claims.extend(_claim(service, 7))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({claimed.id for claimed in claims}) == len(claims) == 20


def test_a_claim_whose_worker_died_comes_due_when_its_lease_ends(service: Service) -> None:
    service.sign_up()
    (claimed,) = _claim(service)
    assert service.mail_to() == []

    service.age(seconds=31)
    (mail,) = service.mail_to()
    assert mail.message["Message-ID"] == claimed.message_id


def test_a_result_of_a_lost_claim_is_not_recorded_over_the_new_one(service: Service) -> None:
    service.sign_up()
    (lost,) = _claim(service)
    service.age(seconds=31)
    _claim(service)
    with service.app.app_context(), write_transaction(db.session()):
        attempts.record_failure(db.session(), lost, error="late")

    assert service.statuses() == ["inflight"]


def test_a_living_worker_keeps_its_claims_however_slow_the_relay_is(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("postgresql", NEWSLETTER_OUTBOX_LEASE_SECONDS="1")
    released = threading.Event()

    def slow(_mail: object) -> None:
        released.wait(120)

    service.sink.on_data = slow
    service.sign_up()
    with service.process("worker"):
        eventually(lambda: service.statuses() == ["inflight"])
        ends: datetime = service.one("SELECT next_attempt_at FROM outbox")
        eventually(lambda: service.one("SELECT next_attempt_at FROM outbox") > ends + timedelta(seconds=1))
        assert _claim(service, at=ends + timedelta(seconds=1)) == []
        released.set()
        eventually(lambda: service.statuses() == ["sent"])
    assert len(service.sink.mails) == 1


def test_sigterm_finishes_the_message_in_hand_and_gives_the_rest_back(service: Service) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold(_mail: object) -> None:
        entered.set()
        release.wait(120)

    for number in range(3):
        service.sign_up(f"u{number}@example.org")
    service.sink.on_data = hold
    with service.process("worker") as worker:
        assert entered.wait(120)
        worker.terminate()
        release.set()
        assert worker.wait(timeout=120) == 0

    assert len(service.sink.mails) == 1
    assert sorted(service.statuses()) == ["queued", "queued", "sent"]
    assert service.rows("SELECT attempts FROM outbox WHERE status = 'queued'") == [(0,), (0,)]


def test_once_ends_when_nothing_is_due(service: Service) -> None:
    service.sign_up()
    done = service.as_process("worker", "--once")

    assert done.returncode == 0
    assert service.statuses() == ["sent"]


def test_once_with_a_dead_relay_fails_with_one_line(on_sqlite: Service) -> None:
    on_sqlite.sign_up()
    on_sqlite.sink.stop()
    done = on_sqlite.as_process("worker", "--once", check=False)

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("newsletter: ")
    assert on_sqlite.statuses() == ["queued"]


def test_a_message_that_cannot_be_written_does_not_hold_up_the_others(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    service.write("UPDATE subscribers SET address = 'not an address' WHERE address = 'ann@example.org'")

    assert len(service.mail_to("bob@example.org")) == 1
    assert service.statuses() == ["awaiting_retry", "sent"]


def test_d13_the_unconfirmed_are_forgotten_after_thirty_days(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    service.age(days=29)
    service.send_mail()
    assert service.states() == {"ann@example.org": "pending"}

    service.age(days=2)
    service.send_mail()
    assert service.counts() == {
        "subscribers": 0, "subscriptions": 0, "consent_events": 1, "outbox": 0, "suppressions": 0,
    }  # fmt: skip
    assert service.events() == ["forget"]


def test_d13_who_left_and_asked_again_without_confirming_stays_unsubscribed(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.sign_up("ann@example.org")
    service.age(days=31)
    service.send_mail()

    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.events() == ["sign_up", "confirm", "unsubscribe", "sign_up", "lapse"]


def test_without_a_relay_mail_is_kept_in_a_maildir_once(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite")
    local = Service({**service.environ, "NEWSLETTER_SMTP_URL": ""}, service.sink)
    local.sign_up()
    local.send_mail()
    local.write("UPDATE outbox SET status = 'queued'")
    local.send_mail()

    assert len(list((local.settings.mailbox_dir / "new").iterdir())) == 1
    assert list((local.settings.mailbox_dir / "tmp").iterdir()) == []
