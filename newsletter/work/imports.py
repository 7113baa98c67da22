"""The errand that checks and stores imports; the `import` command does the same for the one that it brought.

While the file is read, nothing holds up anybody: rows are staged where only this connection sees them. Then
one transaction stores all of them, or none. A thread beside watches: it keeps the lease, tells how far the
work is, and interrupts it within a second where the operator cancels it or the worker must end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from flask import Flask
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter.database import (
    DatabaseNotReady,
    database_now,
    first_line,
    is_disconnect,
    transaction_on,
    write_transaction,
)
from newsletter.extensions import db
from newsletter.services.importing import imports, running
from newsletter.services.importing.judging import Undecided
from newsletter.services.importing.options import ImportFault
from newsletter.services.importing.running import Claimed, LeaseLost
from newsletter.services.importing.staging import Staging
from newsletter.services.importing.storing import Storing
from newsletter.settings import Settings

_TICK = 0.5  # seconds between looks at whether to go on
_FORGET_EVERY = 3600.0  # seconds
_CACHE = 64 * 1024  # KiB that SQLite may keep in memory while it stores
# SQLSTATEs of what another try can mend: a deadlock, a conflict, a lock that was not got.
_FLEETING = ("40", "55P03", "57")

log = structlog.get_logger()


class Stopped(Exception):
    """The work was ended from outside."""


class RunImports:
    """Takes one import after the other."""

    name = "imports"

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._forgot_at = float("-inf")

    def work(self, stop: threading.Event) -> bool:
        with self._app.app_context():
            session = db.session()
            now = database_now(session)
            if time.monotonic() - self._forgot_at > _FORGET_EVERY:
                with write_transaction(session):
                    running.forget(session, now)
                self._forgot_at = time.monotonic()
            if not running.is_waiting(session, now):
                session.rollback()
                return False
            with write_transaction(session):
                claimed = running.claim(session, self._settings, now, lease_id=uuid4())
            if claimed is None:
                return False
            began = time.monotonic()
            carry_out(db.engine, self._settings, claimed, stop)
            session.rollback()
            left = imports.find_import(session, claimed.id)
            log.info(
                "import_worked_at", id=str(claimed.id), state=left.state.value if left else None,
                error=left.error if left else None, seconds=round(time.monotonic() - began, 1),
            )  # fmt: skip
            return True


def carry_out(
    engine: Engine,
    settings: Settings,
    claimed: Claimed,
    stop: threading.Event,
    tell: Callable[[int], None] = lambda _rows: None,
) -> None:
    """Check or store a claimed import to its end, whatever that is; `tell` hears how many rows were read.
    Where `stop` is set, the import is left to another worker. Raises `Undecided` where a command must say
    first what some columns mean: nobody else can be asked."""
    watch = _Watch(engine, settings, claimed, stop)
    try:
        with watch.watching():
            _import(engine, settings, claimed, watch, tell)
    except Undecided as undecided:
        asked = undecided
        if claimed.options.by_command:
            _end(engine, lambda session: running.fail(session, datetime.now(UTC), claimed, str(asked)))
            raise
        _end(engine, lambda session: running.ask(session, claimed, asked))
    except ImportFault as fault:
        said = str(fault)
        _end(engine, lambda session: running.fail(session, datetime.now(UTC), claimed, said))
    except Stopped:
        if watch.cancelled:
            _end(engine, lambda session: running.cancelled(session, datetime.now(UTC), claimed))
        else:
            _end(engine, lambda session: running.release(session, claimed))
    except LeaseLost:
        if watch.is_cancelled():
            _end(engine, lambda session: running.cancelled(session, datetime.now(UTC), claimed))
            return
        log.warning("import_taken_over", id=str(claimed.id))
    except DBAPIError as error:
        if is_disconnect(error):
            raise
        if _is_fleeting(error):
            _end(engine, lambda session: running.release(session, claimed))
            raise
        # The same rows would fail again.
        said = f"the database refused it: {first_line(error)}"
        _end(engine, lambda session: running.fail(session, datetime.now(UTC), claimed, said))
    except Exception:
        said = "it failed by a fault of this service; its log has more"
        _end(engine, lambda session: running.fail(session, datetime.now(UTC), claimed, said))
        raise


def _import(
    engine: Engine, settings: Settings, claimed: Claimed, watch: _Watch, tell: Callable[[int], None]
) -> None:
    now = datetime.now(UTC)

    def told(rows: int) -> None:
        watch.rows_done = rows
        watch.go_on()
        tell(rows)

    def parts() -> Iterator[bytes]:
        return running.chunks(engine, claimed.id)

    with _own_connection(engine) as connection:
        watch.connection = connection
        on_postgresql = engine.dialect.name == "postgresql"
        staging = Staging(connection)
        with watch.interruptible(), _staged(connection, on_postgresql=on_postgresql) as next_step:
            ignored = running.stage(staging, settings, now, claimed, parts, told)
            watch.go_on()
            next_step(writing=not claimed.checks_only)
            # On SQLite nobody else can write from here on, the watch neither.
            watch.may_write = on_postgresql or claimed.checks_only
            session = Session(connection)
            storing = Storing(staging, running.terms(session, settings, now, claimed), watch.go_on)
            asked = 0
            if claimed.checks_only:
                storing.survey(writing=False)
            else:
                asked = storing.store()
            report = storing.tell() | {"asked": asked, "ignored": ignored}
            watch.may_write = False
            if claimed.checks_only:
                next_step(writing=True)
            watch.go_on()
            running.finish(session, now, claimed, report)


@contextmanager
def _staged(connection: Connection, *, on_postgresql: bool) -> Iterator[Callable[..., None]]:
    """Transactions of one connection, one after the other: PostgreSQL has one for all of it, so that its
    temporary tables end with it; SQLite has one that writes only as long as it must."""
    current = transaction_on(connection, writing=False)
    current.__enter__()

    def next_step(*, writing: bool) -> None:
        nonlocal current
        if on_postgresql:
            return
        current.__exit__(None, None, None)
        current = transaction_on(connection, writing=writing)
        current.__enter__()

    try:
        yield next_step
    except BaseException as error:
        current.__exit__(type(error), error, error.__traceback__)
        raise
    current.__exit__(None, None, None)


@contextmanager
def _own_connection(engine: Engine) -> Iterator[Connection]:
    """A connection that ends with the import: its temporary tables and its memory go with it."""
    connection = engine.connect()
    try:
        if engine.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA cache_size=-{_CACHE}")
        yield connection
    finally:
        with suppress(SQLAlchemyError):
            connection.invalidate()
            connection.close()


class _Watch:
    """Looks after an import from a thread of its own."""

    def __init__(self, engine: Engine, settings: Settings, claimed: Claimed, stop: threading.Event) -> None:
        self._engine = engine
        self._settings = settings
        self._claimed = claimed
        self._stop = stop
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._interruptible = False
        self.connection: Connection | None = None
        self.rows_done = 0
        self.may_write = True
        self.cancelled = False
        self._lost = False

    def go_on(self) -> None:
        """Raise where the work must end."""
        if self.cancelled or self._stop.is_set():
            raise Stopped
        if self._lost:
            raise LeaseLost

    def is_cancelled(self) -> bool:
        """Ask the database, where the last look was too early."""
        with Session(self._engine) as session:
            return running.is_cancelled(session, self._claimed)

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, name="import-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """The connection may be interrupted within the block; what comes of it is said by `go_on`."""
        self._interruptible = True
        try:
            yield
        except Exception:
            self.go_on()
            raise
        finally:
            with self._lock:
                self._interruptible = False

    def _watch(self) -> None:
        lease = self._settings.outbox_lease.total_seconds() / 3
        written_at, written = time.monotonic(), 0
        while not self._ended.wait(min(_TICK, lease)):
            try:
                due = time.monotonic() - written_at >= lease or self.rows_done != written
                self._look(writing=self.may_write and due)
                if due:
                    written_at, written = time.monotonic(), self.rows_done
            except (SQLAlchemyError, DatabaseNotReady) as error:
                log.error("import_not_watched", error=first_line(error))
            if self.cancelled or self._lost or self._stop.is_set():
                self._interrupt()

    def _look(self, *, writing: bool) -> None:
        with Session(self._engine) as session:
            self.cancelled = running.is_cancelled(session, self._claimed)
            if not writing:
                return
            with write_transaction(session):
                kept = running.extend(
                    session, self._settings, database_now(session), self._claimed, rows_done=self.rows_done
                )
        self._lost = not kept

    def _interrupt(self) -> None:
        """End the statement in hand."""
        with self._lock:
            if not self._interruptible or self.connection is None:
                return
            with suppress(Exception):
                driver: Any = self.connection.connection.driver_connection
                driver.interrupt() if self._engine.dialect.name == "sqlite" else driver.cancel()


def _end(engine: Engine, write: Callable[[Session], None]) -> None:
    with Session(engine) as session, write_transaction(session):
        write(session)


def _is_fleeting(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state.startswith(_FLEETING) if state else "locked" in str(error.orig) or "busy" in str(error.orig)


def claim_own(session: Session, settings: Settings, import_id: UUID) -> Claimed:
    """The import that was put to work in this transaction, before any worker can see it."""
    claimed = running.claim(session, settings, database_now(session), lease_id=uuid4(), only=import_id)
    assert claimed is not None
    return claimed
