"""The errand that checks and stores imports; the `import` command does the same for the one that it brought.

While the file is read, nothing holds up anybody: rows are staged where only this connection sees them. Then
one transaction stores all of them, or none; a large file is stored in parts on SQLite."""

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
    database_now,
    empty_log,
    first_line,
    is_disconnect,
    transaction_on,
    write_transaction,
)
from newsletter.extensions import db
from newsletter.services.importing import imports, in_parts, running
from newsletter.services.importing.in_parts import Stored
from newsletter.services.importing.judging import Undecided
from newsletter.services.importing.options import ImportFault
from newsletter.services.importing.running import Claimed, LeaseLost
from newsletter.services.importing.staging import Staging
from newsletter.services.importing.storing import Storing
from newsletter.settings import Settings
from newsletter.work.import_watch import Stopped, Watch

_FORGET_EVERY = 3600.0  # seconds
_CACHE = 96 * 1024  # KiB that SQLite may keep in memory while it stores
# SQLSTATEs of what another try can mend: a deadlock, a conflict, a lock that was not got.
_FLEETING = ("40", "55P03", "57")

log = structlog.get_logger()


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
    watch = Watch(engine, settings, claimed, stop)
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
        if watch.stored.line or _is_fleeting(error):
            # What is stored in part is tried again until all of it is.
            hindered = f"it is tried again: {first_line(error)}" if watch.stored.line else None
            _end(engine, lambda session: running.release(session, claimed, hindered))
            raise
        # The same rows would fail again.
        said = f"the database refused it: {first_line(error)}"
        _end(engine, lambda session: running.fail(session, datetime.now(UTC), claimed, said))
    except Exception:
        if watch.stored.line:
            _end(engine, lambda session: running.release(session, claimed))
            raise
        said = "it failed by a fault of this service; its log has more"
        _end(engine, lambda session: running.fail(session, datetime.now(UTC), claimed, said))
        raise


def _import(
    engine: Engine, settings: Settings, claimed: Claimed, watch: Watch, tell: Callable[[int], None]
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
            if watch.stored.whole:
                _end_parts(engine, staging, now, claimed, watch, next_step)
                return
            read = running.stage(staging, settings, now, claimed, parts, told)
            watch.go_on()
            if not (on_postgresql or claimed.checks_only) and (
                watch.stored.line or staging.rows > staging.part(claimed.size)
            ):
                _store_parts(engine, settings, staging, now, claimed, watch, next_step, read)
                return
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
            report = storing.tell() | {"asked": asked} | read
            watch.may_write = False
            if claimed.checks_only:
                next_step(writing=True)
            watch.go_on()
            running.finish(session, now, claimed, report)


def _store_parts(
    engine: Engine,
    settings: Settings,
    staging: Staging,
    now: datetime,
    claimed: Claimed,
    watch: Watch,
    next_step: Callable[..., None],
    read: dict[str, Any],
) -> None:
    """Store a large file on SQLite, see `in_parts`. Between two parts others write; its log is emptied."""
    watch.may_write = False
    terms = None
    for line in staging.parts(watch.stored.line, staging.part(claimed.size)):
        next_step(writing=True)
        session = Session(staging.connection)
        terms = terms or running.terms(session, settings, now, claimed)
        storing = Storing(staging, terms, watch.go_on)
        asked = storing.store()
        stored = watch.stored.plus(line, storing.tell() | {"asked": asked})
        in_parts.write_down(session, settings, claimed, stored)
        next_step(writing=False)
        watch.stored = stored
        empty_log(engine)
    next_step(writing=True)
    session = Session(staging.connection)
    running.keep_refusals(session, claimed)
    report = dict(watch.stored.report) | staging.counts() | read
    stored = Stored(watch.stored.line, report, whole=True)
    in_parts.write_down(session, settings, claimed, stored)
    next_step(writing=False)
    watch.stored = stored
    _end_parts(engine, staging, now, claimed, watch, next_step)


def _end_parts(
    engine: Engine,
    staging: Staging,
    now: datetime,
    claimed: Claimed,
    watch: Watch,
    next_step: Callable[..., None],
) -> None:
    next_step(writing=False)
    in_parts.drop_file(engine, claimed)
    next_step(writing=True)
    running.finish(Session(staging.connection), now, claimed, dict(watch.stored.report), staged=False)


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
