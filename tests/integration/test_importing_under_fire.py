"""Imports when workers die, when two are at it, when the operator changes their mind."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.models import ImportState
from newsletter.services.access import COMMAND_LINE
from newsletter.services.importing import ImportFault, cancel_import, running, start_import
from newsletter.services.subscribers import erase
from newsletter.work.imports import RunImports, carry_out, claim_own
from tests.support.api import add_list
from tests.support.importing import STATED, found, imported, looked_at, start, started, uploaded
from tests.support.people import Person, add_people
from tests.support.service import Service, eventually, now, process_environment

MANY = 40_000
FEW = 12_000  # some batches


def _file(number: int = FEW) -> str:
    return "email,name\n" + "".join(f"u{n}@example.org,Reader {n}\n" for n in range(number))


def _cancel(service: Service, import_id: UUID) -> None:
    with service.app.app_context(), write_transaction(db.session()):
        cancel_import(db.session(), now(), COMMAND_LINE, import_id)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_worker_leaves_nothing_and_another_stores_it_once(
    make_service: Callable[..., Service], kind: str
) -> None:
    service = make_service(kind, NEWSLETTER_OUTBOX_LEASE_SECONDS="1")
    import_id = started(service, _file(MANY), statement=STATED)
    chance = random.Random(8)
    for _ in range(4):
        worker = subprocess.Popen(
            [sys.executable, "-m", "newsletter", "worker"],
            env=process_environment(service.environ),
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: found(service, import_id).state is not ImportState.QUEUED)
        # Somewhere while it is read or stored.
        time.sleep(chance.uniform(0.3, 1.2))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        if found(service, import_id).state is ImportState.DONE:
            break
        assert service.counts()["subscribers"] == 0
    with service.process("worker"):
        eventually(lambda: found(service, import_id).state is ImportState.DONE)

    assert service.counts() | {"outbox": 0} == {
        "subscribers": MANY, "subscriptions": MANY, "consent_events": MANY, "outbox": 0, "suppressions": 0,
    }  # fmt: skip
    assert service.one("SELECT count(*) FROM import_chunks") == 0


def test_a_worker_that_is_told_to_end_leaves_the_import_to_another(service: Service) -> None:
    import_id = started(service, _file(), statement=STATED)
    stop = threading.Event()
    with service.app.app_context(), write_transaction(db.session()):
        claimed = claim_own(db.session(), service.settings, import_id)
    with service.app.app_context():
        carry_out(db.engine, service.settings, claimed, stop, lambda _rows: stop.set())

    assert found(service, import_id).state is ImportState.RUNNING
    assert service.counts()["subscribers"] == 0
    service.work()
    assert found(service, import_id).state is ImportState.DONE
    assert service.counts()["subscribers"] == FEW


def test_many_workers_at_once_store_it_once(service: Service) -> None:
    import_id = started(service, _file(2000), statement=STATED)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: RunImports(service.app, service.settings).work(threading.Event()), range(12)))

    assert found(service, import_id).report["added"] == {"confirmed": 2000}
    assert service.counts()["consent_events"] == 2000


def test_a_worker_that_lost_its_lease_stores_nothing(service: Service) -> None:
    import_id = started(service, _file(), statement=STATED)
    with service.app.app_context(), write_transaction(db.session()):
        claimed = claim_own(db.session(), service.settings, import_id)
    service.write("UPDATE imports SET lease_id = NULL, lease_until = NULL")
    with service.app.app_context():
        carry_out(db.engine, service.settings, claimed, threading.Event())

    assert service.counts()["subscribers"] == 0
    service.work()
    assert service.counts()["subscribers"] == FEW


def test_cancelling_while_the_file_is_read_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = started(service, _file(), statement=STATED)
    with service.app.app_context(), write_transaction(db.session()):
        claimed = claim_own(db.session(), service.settings, import_id)
    seen: list[int] = []
    looks: list[bool] = []
    look = running.is_cancelled

    def looked(*asked: Any) -> bool:
        looks.append(look(*asked))
        return looks[-1]

    monkeypatch.setattr(running, "is_cancelled", looked)

    def told(rows: int) -> None:
        if not seen:
            _cancel(service, import_id)
            # As slow as a file of many millions: who watches has found it out, and looks again.
            eventually(lambda: looks.count(True) > 1)
        seen.append(rows)

    with service.app.app_context():
        carry_out(db.engine, service.settings, claimed, threading.Event(), told)

    assert found(service, import_id).state is ImportState.CANCELLED
    assert len(seen) == 1
    assert service.counts()["subscribers"] == service.one("SELECT count(*) FROM import_chunks") == 0


def test_cancelling_ends_a_statement_that_waits_for_another_transaction(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("postgresql")
    import_id = started(service, _file(10), statement=STATED)
    with _somebody_adding(service, "u5@example.org"):
        worker = threading.Thread(target=service.work)
        worker.start()
        _until_it_waits(service)
        _cancel(service, import_id)
        worker.join(timeout=120)
        assert not worker.is_alive()  # though the other one still is

    assert found(service, import_id).state is ImportState.CANCELLED
    assert service.counts()["subscribers"] == 0


def test_somebody_who_is_erased_while_a_file_that_has_them_is_stored_comes_in_anew(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("postgresql")
    add_list(service, "sport")
    (theirs,) = add_people(service, [Person("a@example.org")], "sport")
    import_id = started(service, "email\na@example.org\nu5@example.org\n", statement=STATED)
    with _somebody_adding(service, "u5@example.org"):
        worker = threading.Thread(target=service.work)
        worker.start()
        _until_it_waits(service)
        # The person was seen as known by now, and is not locked yet.
        with service.app.app_context(), write_transaction(db.session()):
            erase(db.session(), service.settings, now(), COMMAND_LINE, theirs, way="operator")
    worker.join(timeout=120)

    assert found(service, import_id).state is ImportState.DONE
    assert service.states() == {"a@example.org": "confirmed", "u5@example.org": "confirmed"}


@contextmanager
def _somebody_adding(service: Service, address: str) -> Iterator[None]:
    """Another transaction is adding this person, and takes long; it comes to nothing."""
    with service.app.app_context(), db.engine.connect() as other:
        other.execute(
            text(
                "INSERT INTO subscribers (id, address, identity, search, locale, attributes, created_at) "
                "VALUES (gen_random_uuid(), :address, :address, '', 'en', '{}', now())"
            ),
            {"address": address},
        )
        yield
        other.rollback()


def _until_it_waits(service: Service) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    eventually(lambda: service.one(waiting))


def _status_after(command: subprocess.Popen[bytes], how: signal.Signals) -> int:
    """How it ends on a signal. Where the database is too slow to be told, it is sent once more, as by whoever
    presses Ctrl-C again: psycopg asks for the end of a statement for five seconds, and then waits for it."""
    try:
        for patience in (30, 120):
            command.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                return command.wait(timeout=patience)
        raise AssertionError("it did not end")
    finally:
        command.kill()
        command.wait()


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name
)
def test_a_command_that_is_ended_stores_nothing_and_no_worker_does(
    make_service: Callable[..., Service], tmp_path: Path, how: signal.Signals
) -> None:
    service = make_service("postgresql", NEWSLETTER_OUTBOX_LEASE_SECONDS="1")
    file = tmp_path / "people.csv"
    file.write_text(_file(10), "utf-8")
    with _somebody_adding(service, "u5@example.org"):
        # Under nohup, and behind the & of a script, the suite and its children would be deaf to these.
        hearing = ["env", "--default-signal=HUP,INT", sys.executable, "-m", "newsletter"]
        command = subprocess.Popen(
            [*hearing, "import", "daily", str(file), "--statement", STATED],
            env=process_environment(service.environ),
            stderr=subprocess.DEVNULL,
        )
        _until_it_waits(service)
        assert _status_after(command, how) != 0
    ended: tuple[ImportState, str | None] = (ImportState.CANCELLED, None)
    if how is signal.SIGKILL:
        ended = (ImportState.FAILED, "its command died before the end: nothing was stored")
    else:
        assert _last(service) == ended

    def has_ended() -> bool:
        service.work()  # which leaves it alone until its lease has ended
        return _last(service) == ended

    eventually(has_ended)

    assert service.counts()["subscribers"] == service.one("SELECT count(*) FROM import_chunks") == 0


def _last(service: Service) -> tuple[ImportState, str | None]:
    state, error = service.rows("SELECT state, error FROM imports ORDER BY id DESC LIMIT 1")[0]
    return ImportState(state), error


def test_what_a_command_that_died_left_is_not_taken_up_by_a_worker(service: Service) -> None:
    import_id = uploaded(service, "email\nann@example.org\n")
    start(service, import_id, looked_at(service, import_id).options(statement=STATED, by_command=True))
    with service.app.app_context(), write_transaction(db.session()):
        claim_own(db.session(), service.settings, import_id)
    service.work()
    assert found(service, import_id).state is ImportState.RUNNING  # the command is at it

    service.write("UPDATE imports SET lease_until = NULL")
    service.work()

    assert found(service, import_id).state is ImportState.FAILED
    assert service.states() == {}


def test_a_cancel_that_a_dead_worker_did_not_heed_is_heeded_by_the_next(service: Service) -> None:
    import_id = started(service, "email\nann@example.org\n", statement=STATED)
    with service.app.app_context(), write_transaction(db.session()):
        claim_own(db.session(), service.settings, import_id)
    _cancel(service, import_id)
    assert found(service, import_id).state is ImportState.RUNNING

    service.write("UPDATE imports SET lease_until = NULL")
    service.work()

    assert found(service, import_id).state is ImportState.CANCELLED
    assert service.states() == {}


def test_a_cancel_at_the_last_moment_stores_nothing(service: Service) -> None:
    import_id = started(service, "email\nann@example.org\n", statement=STATED)
    with service.app.app_context(), write_transaction(db.session()):
        claimed = claim_own(db.session(), service.settings, import_id)

    with service.app.app_context():
        carry_out(
            db.engine, service.settings, claimed, threading.Event(), lambda _rows: _cancel(service, import_id)
        )

    assert found(service, import_id).state is ImportState.CANCELLED
    assert service.states() == {}


def test_cancelling_what_nobody_is_at_ends_it_at_once(service: Service) -> None:
    import_id = uploaded(service, "email\nann@example.org\n")

    _cancel(service, import_id)

    assert found(service, import_id).state is ImportState.CANCELLED
    assert service.one("SELECT count(*) FROM import_chunks") == 0
    with pytest.raises(ImportFault, match="ended already"):
        _cancel(service, import_id)


def test_people_sign_up_while_many_are_imported(service: Service) -> None:
    import_id = started(service, _file(MANY), statement=STATED)
    worker = threading.Thread(target=service.work)
    worker.start()
    signed_up = 0
    while worker.is_alive():
        assert service.sign_up(f"new{signed_up}@example.org").status_code == 200
        assert service.sign_up(f"u{MANY - 1 - signed_up}@example.org").status_code == 200
        signed_up += 1
    worker.join()

    assert found(service, import_id).state is ImportState.DONE
    states = service.states()
    assert len(states) == MANY + signed_up
    assert all(states[f"new{number}@example.org"] == "pending" for number in range(signed_up))
    assert all(states[f"u{number}@example.org"] == "confirmed" for number in range(MANY))


def test_sign_ups_wait_longer_for_their_turn_while_an_import_is_stored(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.web.writer._PATIENCE", 0.2)
    writer = on_sqlite.app.extensions["newsletter.writer"]
    with writer._turn:
        assert on_sqlite.sign_up("ann@example.org").status_code == 503

    import_id = started(on_sqlite, "email\nann@example.org\n", statement=STATED)
    with on_sqlite.app.app_context(), write_transaction(db.session()):
        claim_own(db.session(), on_sqlite.settings, import_id)
    with ThreadPoolExecutor(1) as pool:
        with writer._turn:
            waiting = pool.submit(on_sqlite.sign_up, "bob@example.org")
            eventually(lambda: writer._waiting)
            time.sleep(0.5)  # longer than they wait otherwise

        assert waiting.result().status_code == 200


def test_a_file_that_nobody_started_is_forgotten_after_a_week(service: Service) -> None:
    import_id = uploaded(service, "email\nann@example.org\n")
    old = "2026-01-01T00:00:00.000000Z"
    service.write("UPDATE imports SET created_at = :old", old=old)

    service.work()

    assert found(service, import_id).state is ImportState.CANCELLED
    assert service.one("SELECT count(*) FROM import_chunks") == 0


def test_an_import_is_started_once_however_often_it_is_asked_for(service: Service) -> None:
    done = imported(service, "email\nann@example.org\n")

    with service.app.app_context(), pytest.raises(ImportFault, match="cannot be started"):
        start_import(db.session(), now(), COMMAND_LINE, done.id)
