"""Counts who looks at the links of our mails. The page that is looked at waits for none of it: looks are
counted in memory and added to the ledger every few seconds, all at once, by a thread of this process.

What a process has not added when it is killed is lost: these are figures, not evidence."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, date, datetime
from typing import cast

import structlog
from flask import Flask, current_app, request
from sqlalchemy.exc import SQLAlchemyError

from newsletter import counted
from newsletter.database import DatabaseNotReady, first_line, write_transaction
from newsletter.domain.scanners import Door, Effect, Look, delay_of, kind_of
from newsletter.extensions import db
from newsletter.services import scans as ledger

_EVERY = 5.0  # seconds

log = structlog.get_logger()


class Scans:
    """The looks of this process that are not in the ledger yet. There are few kinds, so however long the
    database is away, they take no more room."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._adding = threading.Lock()
        self._looks: Counter[tuple[date, Look]] = Counter()
        self._timer: threading.Timer | None = None

    def count(self, look: Look, day: date) -> None:
        """Count one look."""
        with self._lock:
            self._looks[day, look] += 1
            if self._timer is None:
                self._timer = threading.Timer(_EVERY, self.add)
                self._timer.daemon = True
                self._timer.start()

    def add(self) -> None:
        """Add to the ledger what was counted. Where the database does not take it, it is kept."""
        with self._adding:
            with self._lock:
                looks, self._looks = self._looks, Counter()
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not looks:
                return
            try:
                with self._app.app_context():
                    session = db.session()
                    with write_transaction(session):
                        ledger.add(session, looks)
            except (SQLAlchemyError, DatabaseNotReady) as error:
                log.warning("scans_not_added", error=first_line(error))
                with self._lock:
                    # The next look, whoever's it is, tries again.
                    self._looks.update(looks)


def scans() -> Scans:
    """Those of this process."""
    return cast("Scans", current_app.extensions["newsletter.scans"])


def looked(door: Door, *, sent_at: datetime | None, acts: bool) -> None:
    """This request looks at a link, of a mail that was sent then; `acts`: pressing its button now would
    change something."""
    now = datetime.now(UTC)
    look = Look(
        door,
        kind_of(request.method, request.headers.get),
        delay_of(now - sent_at if sent_at is not None else None),
        Effect.ACTS if acts else Effect.NOTHING,
    )
    counted.scanned(look.door.value, look.kind.value, look.delay.value, falsely=look.would_be_false)
    scans().count(look, now.date())
