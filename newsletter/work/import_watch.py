"""Looks after an import while it is worked at: it keeps the lease, tells how far the work is, and ends it
within a second where the operator cancels it or the worker must end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter.database import DatabaseNotReady, database_now, first_line, write_transaction
from newsletter.services.importing import running
from newsletter.services.importing.in_parts import Stored
from newsletter.services.importing.running import Claimed, LeaseLost
from newsletter.settings import Settings

_TICK = 0.5  # seconds between looks at whether to go on

log = structlog.get_logger()


class Stopped(Exception):
    """The work was ended from outside."""


class Watch:
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
        self.stored = Stored.of(claimed.report)  # of an import in parts
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
