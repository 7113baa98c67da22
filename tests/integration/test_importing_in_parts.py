"""Large files on SQLite, which are stored in several transactions: the log of writes stays small, others write in
between, and it is all of the file in the end, whatever happens on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from newsletter import database
from newsletter.database import write_transaction
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.models import ImportState
from newsletter.services.access import COMMAND_LINE
from newsletter.services.importing import HasEnded, cancel_import, staging
from newsletter.work.imports import RunImports, carry_out, claim_own
from tests.support.api import caller, problem
from tests.support.importing import STATED, found, imported, looked_at, reasons, start, started, uploaded
from tests.support.operators import Console
from tests.support.people import Person, add_people
from tests.support.service import Service, now

FILE = "email,name,state\n" + "".join(
    f"u{n % 190}@example.org,Reader {n},{('confirmed', 'pending', 'unsubscribed', 'complained')[n % 7 % 4]}\n"
    for n in range(200)
)
KNOWN = [
    Person("u7@example.org", state=State.UNSUBSCRIBED),
    Person("u8@example.org"),
    Person("u150@example.org", state=State.PENDING),
]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "PART", 30)


def between_parts(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen after each part, when it is committed."""

    def acted(engine: Engine) -> None:
        act()
        database.empty_log(engine)

    monkeypatch.setattr("newsletter.work.imports.empty_log", acted)


def die_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker die after so many parts: whatever it would do yet is not done."""
    left = [parts]

    def die() -> None:
        left[0] -= 1
        if not left[0]:
            monkeypatch.undo()
            raise SystemExit

    between_parts(monkeypatch, die)


def died(service: Service, import_id: UUID) -> None:
    """Let a worker begin and die, and its lease end."""
    with service.app.app_context(), write_transaction(db.session()):
        claimed = claim_own(db.session(), service.settings, import_id)
    with service.app.app_context(), pytest.raises(SystemExit):
        carry_out(db.engine, service.settings, claimed, threading.Event())
    service.write("UPDATE imports SET lease_until = NULL")


def left_by(service: Service) -> tuple[Any, ...]:
    """All that an import leaves, without ids and moments."""
    return (
        service.states(),
        service.counts(),
        service.events(),
        service.rows("SELECT line, reason FROM import_refusals ORDER BY line"),
        service.rows("SELECT reason, count(*) FROM suppressions GROUP BY reason"),
    )


def test_parts_come_to_the_same_as_all_at_once(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, reports = [], []
    for rows_of_a_part in (staging.PART, 30, 1):
        monkeypatch.setattr(staging, "PART", rows_of_a_part)
        service = make_service("sqlite")
        add_people(service, KNOWN)
        done = imported(service, FILE, statement=STATED, ask_per_hour=3600)
        left.append(left_by(service))
        reports.append(done.report)
        assert done.state is ImportState.DONE
        assert service.one("SELECT count(*) FROM import_chunks") == 0
        due = [at for (at,) in service.rows("SELECT next_attempt_at FROM outbox ORDER BY next_attempt_at")]
        assert len(due) == len(set(due)) == done.report["asked"] > 30

    assert left[0] == left[1] == left[2]
    assert reports[0] == reports[1] == reports[2]


def test_the_log_of_writes_stays_small(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "PART", 1000)
    file = Path(str(on_sqlite.settings.data_dir)) / "newsletter.sqlite3"
    before, sizes = file.stat().st_size, list[int]()
    between_parts(monkeypatch, lambda: sizes.append(Path(f"{file}-wal").stat().st_size))

    imported(on_sqlite, "email\n" + "".join(f"u{n}@example.org\n" for n in range(10_000)), statement=STATED)

    assert len(sizes) == 10
    assert max(sizes) < (file.stat().st_size - before) / 2


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_dies_between_two_parts_is_followed_by_one_that_goes_on(
    on_sqlite: Service, make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = make_service("sqlite")
    done = imported(undisturbed, FILE, statement=STATED)
    import_id = started(on_sqlite, FILE, statement=STATED)
    monkeypatch.undo()
    monkeypatch.setattr(staging, "PART", 30)
    for parts in (1, 2):
        die_after(parts, monkeypatch)
        died(on_sqlite, import_id)
        monkeypatch.setattr(staging, "PART", 30)

    on_sqlite.work()

    assert found(on_sqlite, import_id).report == done.report
    assert left_by(on_sqlite) == left_by(undisturbed)


@pytest.mark.usefixtures("small_parts")
def test_what_a_command_began_to_store_is_carried_to_its_end_though_it_dies(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = uploaded(on_sqlite, FILE)
    start(on_sqlite, import_id, looked_at(on_sqlite, import_id).options(statement=STATED, by_command=True))
    die_after(1, monkeypatch)
    died(on_sqlite, import_id)

    on_sqlite.work()

    assert found(on_sqlite, import_id).state is ImportState.DONE
    assert len(on_sqlite.states()) == 190


@pytest.mark.usefixtures("small_parts")
def test_what_is_stored_in_part_cannot_be_cancelled(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = started(on_sqlite, FILE, statement=STATED)
    page = f"/operator/lists/daily/imports/{import_id}"
    owner, call = Console.of(on_sqlite, "owner@example.org"), caller(on_sqlite)
    tried = list[object]()

    def cancel() -> None:
        with on_sqlite.app.app_context(), pytest.raises(HasEnded), write_transaction(db.session()):
            cancel_import(db.session(), now(), COMMAND_LINE, import_id)
        tried.append(problem(call.post(f"/imports/{import_id}/cancel"), 409)["detail"])
        assert "Cancel</button>" not in owner.get(page).text

    between_parts(monkeypatch, cancel)
    on_sqlite.work()

    assert found(on_sqlite, import_id).state is ImportState.DONE
    assert len(tried) == 7


@pytest.mark.usefixtures("small_parts")
def test_others_write_between_two_parts(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = started(on_sqlite, FILE, statement=STATED)
    numbers = iter(range(100))
    between_parts(
        monkeypatch,
        lambda: (
            on_sqlite.sign_up(f"new{next(numbers)}@example.org") and on_sqlite.sign_up("u180@example.org")
        ),
    )
    on_sqlite.work()

    assert found(on_sqlite, import_id).state is ImportState.DONE
    states = on_sqlite.states()
    assert [states[f"new{n}@example.org"] for n in range(7)] == ["pending"] * 7
    assert len(states) == 197


@pytest.mark.usefixtures("small_parts")
def test_a_disk_that_is_full_half_way_only_delays_an_import(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = started(on_sqlite, FILE, statement=STATED)
    full: list[bool] = []
    between_parts(monkeypatch, lambda: full.append(True))

    def fill(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if full else 2**30}")

    with on_sqlite.app.app_context():
        event.listen(db.engine, "begin", fill)
        with write_transaction(db.session()):
            claimed = claim_own(db.session(), on_sqlite.settings, import_id)
        with pytest.raises(OperationalError, match="full"):
            carry_out(db.engine, on_sqlite.settings, claimed, threading.Event())
        event.remove(db.engine, "begin", fill)
        db.engine.dispose()
    left = found(on_sqlite, import_id)
    assert (left.state, "full" in str(left.error)) == (ImportState.RUNNING, True)

    on_sqlite.work()

    left = found(on_sqlite, import_id)
    assert (left.state, left.error) == (ImportState.DONE, None)
    assert len(on_sqlite.states()) == 190
    assert len(reasons(on_sqlite, import_id)) == 10


def test_workers_that_take_turns_store_it_once(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PART", 100)
    service = make_service("sqlite", NEWSLETTER_OUTBOX_LEASE_SECONDS="1")
    import_id = started(
        service, "email\n" + "".join(f"u{n}@example.org\n" for n in range(2000)), statement=STATED
    )
    between_parts(monkeypatch, lambda: service.write("UPDATE imports SET lease_until = NULL"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: RunImports(service.app, service.settings).work(threading.Event()), range(6)))
    monkeypatch.undo()
    service.work()

    assert found(service, import_id).report["added"] == {"confirmed": 2000}
    assert service.counts()["consent_events"] == service.counts()["subscriptions"] == 2000
