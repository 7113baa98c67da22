"""The clock is set an hour or a day forward or back: nothing is lost, and nothing waits until it is right again.

What was stored while the clock was ahead is made by moving what is stored into the future."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import pytest

from newsletter.extensions import db
from newsletter.services import alarms, clock
from newsletter.services.counting import DatabaseStorage
from newsletter.work.clock import FollowClock
from tests.support.acting import reading, writing
from tests.support.evidence import faults
from tests.support.operators import PASSWORD, Console
from tests.support.service import Service, now, path
from tests.support.webhooks import stored

_JUMPS = [timedelta(hours=1), timedelta(days=1)]


def _bring_back(service: Service) -> int:
    with service.app.app_context():
        return clock.bring_back(db.session(), now())


def _was_ahead(service: Service, by: timedelta) -> None:
    service.age(seconds=-by.total_seconds())


@pytest.mark.parametrize("by", _JUMPS)
def test_mail_that_was_asked_for_while_the_clock_was_ahead_goes_out_now(
    service: Service, by: timedelta
) -> None:
    service.sign_up("ann@example.org")
    _was_ahead(service, by)
    before = len(service.mail_to("ann@example.org"))
    corrected = _bring_back(service)
    mail = service.mail_to("ann@example.org")

    assert (before, corrected, len(mail)) == (0, 1, 1)
    assert service.client.post(path(mail[0].link("confirm"))).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}
    service.work()
    assert faults(service, "daily") == []


def test_mail_that_is_put_off_stays_so_and_a_dead_workers_lease_ends(service: Service) -> None:
    for name in ("put-off", "claimed", "tried"):
        service.sign_up(f"{name}@example.org")
    late = {
        name: stored(service, now() + timedelta(hours=hours))
        for name, hours in (("put-off", 20), ("other", 30))
    }
    service.write("UPDATE outbox SET next_attempt_at = :at", at=late["put-off"])
    ids = [row.id for row in service.rows("SELECT id FROM outbox ORDER BY id")]
    service.write(
        "UPDATE outbox SET status = 'inflight', next_attempt_at = :at WHERE id = :id",
        at=late["other"],
        id=ids[1],
    )
    service.write(
        "UPDATE outbox SET status = 'awaiting_retry', next_attempt_at = :at WHERE id = :id",
        at=late["other"],
        id=ids[2],
    )
    corrected = _bring_back(service)
    service.send_mail()

    assert corrected == 2
    assert sorted(service.statuses()) == ["queued", "sent", "sent"]


@pytest.mark.parametrize("by", _JUMPS)
def test_d9_an_address_that_was_mailed_in_the_future_is_mailed_again_after_the_cool_down(
    service: Service, by: timedelta
) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    _was_ahead(service, by)
    _bring_back(service)
    service.sign_up("ann@example.org")
    during = len(service.mail_to("ann@example.org"))
    service.age(minutes=11)
    service.sign_up("ann@example.org")

    assert (during, len(service.mail_to("ann@example.org"))) == (1, 2)


def test_counts_and_alarms_of_the_future_hold_up_nobody(service: Service) -> None:
    tomorrow = now() + timedelta(days=1)

    def count(at: datetime) -> int:
        def work(session: object) -> int:
            storage = DatabaseStorage(session, at)  # type: ignore[arg-type]
            storage.load(["a key"])
            hits = storage.incr("a key", 3600)
            storage.save()
            return hits

        return writing(service, work)

    counted = [count(tomorrow), count(now())]
    for _ in range(alarms.STOPS_AT):
        writing(service, lambda session: alarms.sound(session, tomorrow, alarms.SENDER_REFUSED, "refused"))
    _bring_back(service)
    later = now() + alarms.HOLD + timedelta(minutes=1)
    standing = reading(service, lambda session: alarms.standing(session, later))

    assert counted == [1, 2]
    assert count(now()) == 1
    assert standing is not None
    assert not standing.stops_runs(later)


def test_nothing_is_corrected_where_clocks_differ_a_little_or_the_time_has_come(service: Service) -> None:
    service.sign_up("ann@example.org")
    _was_ahead(service, timedelta(minutes=4))
    service.confirmed("bob@example.org")

    assert _bring_back(service) == 0


def test_the_worker_looks_at_its_start_and_when_the_clock_goes_back_and_not_otherwise(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    real, ahead = time.time, [0.0]

    def look(*_: object) -> int:
        looked.append(ahead[0])
        return 0

    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    monkeypatch.setattr(clock, "bring_back", look)
    errand = FollowClock(on_sqlite.app)
    for seconds in (0.0, 0.0, 30.0, 3600.0, 3590.0, 1.0, 1.0, 86400.0, 2.0):
        ahead[0] = seconds
        errand.work(threading.Event())

    assert looked == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("hours", [-24, -1, 1, 11])
def test_sessions_outlive_a_jump_that_is_no_longer_than_they_may_be_idle(
    service: Service, hours: int
) -> None:
    console = Console.of(service, "ann@example.org")
    columns = ("created_at", "seen_at", "expires_at")
    (kept,) = service.rows(f"SELECT {', '.join(columns)} FROM operator_sessions")
    for column, moment in zip(columns, kept, strict=True):
        moved = datetime.fromisoformat(str(moment)) - timedelta(hours=hours)
        service.write(f"UPDATE operator_sessions SET {column} = :moved", moved=stored(service, moved))
    asks = "Your password" in console.get("/operator/account/second-factor").text

    assert console.get("/operator/").status_code == 200
    assert asks  # a clock that was set back makes nobody's log-in fresh


def test_who_is_half_logged_in_when_the_clock_is_set_back_begins_anew(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    Console.of(on_sqlite, "ann@example.org").switch_on_second_factor()
    half = Console(on_sqlite)
    half.log_in("ann@example.org", PASSWORD)

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now() - timedelta(hours=1)

    monkeypatch.setattr("newsletter.web.operator.login.datetime", Earlier)

    assert half.get("/operator/login/code").status_code == 303
