"""Bounces, complaints and wishes to leave: what each does to a person, whoever brought it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from newsletter.database import write_transaction
from newsletter.domain.returns import Return, ReturnKind
from newsletter.extensions import db
from newsletter.services import alarms
from newsletter.services.suppress import reasons
from newsletter.services.take_return import Taken, take_return
from tests.support.acting import writing
from tests.support.service import Service, eventually, now

NO_SUCH_USER: dict[str, Any] = {"status": "5.1.1", "diagnostic": "550 5.1.1 no such user"}


def _take(
    service: Service, kind: ReturnKind = ReturnKind.BOUNCE, *, key: str = "one", later: float = 0, **more: Any
) -> Taken:
    ret = Return(kind, key, "test", **{"outbox_id": _last_mail(service)} | more)
    with service.app.app_context(), write_transaction(db.session()):
        return take_return(db.session(), service.settings, now() + timedelta(days=later), ret)


def _last_mail(service: Service) -> UUID:
    return UUID(str(service.rows("SELECT id FROM outbox ORDER BY id DESC")[0][0]))


def test_b3_an_unknown_mailbox_ends_all_that_the_person_holds_and_is_not_mailed_again(
    service: Service,
) -> None:
    service.command("lists", "add", "weekly", "--name", "Weekly")
    service.confirmed("ann@example.org")
    service.confirmed("ann@example.org", "weekly")
    service.confirmed("bob@example.org")
    ann = UUID(str(service.rows("SELECT id FROM outbox ORDER BY id")[0][0]))

    assert _take(service, outbox_id=ann, **NO_SUCH_USER) is Taken.SUPPRESSED

    held = service.rows(
        "SELECT p.address, s.state FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id ORDER BY s.id"
    )
    assert held == [
        ("ann@example.org", "bounced"),
        ("ann@example.org", "bounced"),
        ("bob@example.org", "confirmed"),
    ]
    assert service.events()[-2:] == ["bounce", "bounce"]
    assert service.rows("SELECT reason FROM suppressions") == [("bounce",)]


def test_a_replay_changes_nothing(service: Service) -> None:
    service.confirmed()
    _take(service, **NO_SUCH_USER)
    before = service.counts()

    assert _take(service, **NO_SUCH_USER) is Taken.REPLAYED
    assert service.counts() == before


def test_b3_a_full_mailbox_suppresses_after_five_mails_over_two_weeks(service: Service) -> None:
    service.confirmed()
    full: dict[str, Any] = {"status": "5.2.2", "diagnostic": "552 5.2.2 mailbox full", "outbox_id": None}
    person = UUID(str(service.one("SELECT id FROM subscriptions")))

    became = [
        _take(service, key=f"mail {number}", later=day, subscription_id=person, **full)
        for number, day in enumerate((0, 1, 2, 3, 4, 13.9, 14.1))
    ]

    assert became == [Taken.COUNTED] * 6 + [Taken.SUPPRESSED]
    assert service.states() == {"ann@example.org": "bounced"}


def test_b3_the_same_mail_counts_once_however_often_it_is_reported(service: Service) -> None:
    service.confirmed()

    became = [
        _take(service, key=f"report {number}", later=number * 5, status=f"4.2.{number}")
        for number in range(1, 7)
    ]

    assert became == [Taken.COUNTED] + [Taken.REPLAYED] * 5
    assert service.one("SELECT count(*) FROM mail_returns") == 1


def test_one_refused_mail_is_one_refusal_whatever_its_recipient_makes_of_it(service: Service) -> None:
    service.confirmed()

    became = [_take(service, key=f"report {number}", status=f"5.7.{number}") for number in range(1, 6)]

    assert became == [Taken.OUR_FAULT] + [Taken.REPLAYED] * 4
    with service.app.app_context():
        alarm = alarms.standing(db.session(), now())
    assert alarm is not None
    assert (alarm.number, alarm.stops_runs(now())) == (1, False)
    assert _take(service, key="gone", **NO_SUCH_USER) is Taken.SUPPRESSED


def test_b3_a_refused_sender_suppresses_nobody_and_raises_an_alarm(service: Service) -> None:
    service.confirmed()

    said = "550 5.7.26 mail from news.example to ann@example.org is unauthenticated"
    assert _take(service, status="5.7.26", diagnostic=said) is Taken.OUR_FAULT

    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.counts()["suppressions"] == 0
    with service.app.app_context():
        alarm = alarms.standing(db.session(), now())
        assert alarm is not None
        assert (alarm.number, alarm.detail) == (
            1, "550 5.7.26 mail from news.example to (address) is unauthenticated",
        )  # fmt: skip
        assert alarms.standing(db.session(), now() + timedelta(days=2)) is None


def test_b4_a_complaint_is_for_ever(service: Service) -> None:
    service.confirmed()

    assert _take(service, ReturnKind.COMPLAINT) is Taken.SUPPRESSED
    assert service.states() == {"ann@example.org": "complained"}
    service.sign_up()
    assert service.states() == {"ann@example.org": "complained"}
    assert service.rows("SELECT reason FROM suppressions") == [("complaint",)]


def test_leaving_by_mail_is_leaving(service: Service) -> None:
    service.confirmed()

    assert _take(service, ReturnKind.UNSUBSCRIBE, key="first") is Taken.UNSUBSCRIBED
    assert _take(service, ReturnKind.UNSUBSCRIBE, key="second") is Taken.IGNORED
    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.rows("SELECT kind, way FROM consent_events ORDER BY id DESC LIMIT 1") == [
        ("unsubscribe", "test")
    ]


@pytest.mark.parametrize(
    "whose",
    [
        pytest.param({"outbox_id": UUID(int=7)}, id="no such mail"),
        pytest.param({"outbox_id": None, "subscription_id": UUID(int=7)}, id="no such subscription"),
        pytest.param({"outbox_id": None, "message_id": "<x@y>"}, id="not a message of ours"),
        pytest.param({"outbox_id": None, "address": "nobody@example.org"}, id="an unknown address"),
        pytest.param({"outbox_id": None, "address": "not an address\n"}, id="no address"),
        pytest.param({"outbox_id": None}, id="nothing at all"),
    ],
)
def test_what_is_about_nobody_changes_nothing(on_sqlite: Service, whose: dict[str, Any]) -> None:
    on_sqlite.confirmed()

    assert _take(on_sqlite, **whose | NO_SUCH_USER) is Taken.NOBODY
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


@pytest.mark.parametrize("by", ["message_id", "address"])
def test_a_provider_names_our_message_or_the_address(service: Service, by: str) -> None:
    service.confirmed("Ann@example.org")
    named: Any = service.one("SELECT message_id FROM outbox") if by == "message_id" else "ann@EXAMPLE.org"

    assert _take(service, outbox_id=None, **{by: named}, **NO_SUCH_USER) is Taken.SUPPRESSED


def test_what_came_back_of_an_erased_person_is_gone_with_them(service: Service) -> None:
    service.confirmed()
    _take(service, **NO_SUCH_USER)
    service.write("DELETE FROM subscribers")

    assert service.one("SELECT count(*) FROM mail_returns") == 0


@pytest.mark.parametrize("by", ["outbox_id", "message_id", "address beside"])
def test_what_is_about_an_earlier_address_suppresses_that_and_is_not_held_against_the_present_one(
    service: Service, by: str
) -> None:
    service.confirmed("old@example.org")
    named: dict[str, Any] = {
        "outbox_id": {},
        "message_id": {"outbox_id": None, "message_id": service.one("SELECT message_id FROM outbox")},
        "address beside": {"address": "old@example.org"},
    }[by]
    if by == "address beside":
        service.write("UPDATE outbox SET sent_to = NULL")
    service.write("UPDATE subscribers SET address = 'new@example.org', identity = 'new@example.org'")

    # What only counts is counted by person, and so not at all here; where the mail went must be known.
    assert _take(service, key="full", **named, status="4.2.2") is Taken.NOBODY
    gone = _take(service, key="gone", **named, **NO_SUCH_USER)
    assert gone is (Taken.NOBODY if by == "address beside" else Taken.SUPPRESSED)
    assert service.states() == {"new@example.org": "confirmed"}
    with service.app.app_context():
        asked = {"old@example.org", "new@example.org"}
        assert set(reasons(db.session(), service.settings, asked)) == (
            set() if by == "address beside" else {"old@example.org"}
        )


def test_an_alarm_that_two_raise_at_once_is_one(service: Service) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def sound() -> None:
        writing(service, lambda session: alarms.sound(session, now(), alarms.SENDER_REFUSED, "550 refused"))

    with ThreadPoolExecutor() as pool:
        with service.app.app_context(), write_transaction(db.session()):
            alarms.sound(db.session(), now(), alarms.SENDER_REFUSED, "550 refused")
            second = pool.submit(sound)
            if service.on_postgresql:
                eventually(lambda: service.one(waiting) == 1)
        second.result(timeout=30)

    assert service.rows("SELECT kind, number FROM alarms") == [("sender_refused", 2)]
