"""What the worker forgets from time to time: the unconfirmed, old counts, old requests, dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
from flask import Flask
from sqlalchemy.orm import Session

from newsletter.database import drop_old_pages, write_transaction
from newsletter.dead_letters import DeadLetters
from newsletter.extensions import db
from newsletter.services import counting, idempotency, self_service
from newsletter.services.purge import purge
from newsletter.settings import Settings

_EVERY = 600.0  # seconds

log = structlog.get_logger()


class Housekeeping:
    """Done in small pieces, between which mail goes on."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._dead_letters = DeadLetters(settings.dead_letters_dir)
        self._done_at = float("-inf")

    def work(self) -> bool:
        """Do a piece, where it is time; returns whether there is more of it."""
        if time.monotonic() - self._done_at < _EVERY:
            return False
        with self._session() as session, write_transaction(session):
            purged = purge(session, self._settings, datetime.now(UTC))
        if purged:
            log.info("unconfirmed_purged", subscriptions=purged)
            return True
        with self._session() as session, write_transaction(session):
            counting.forget(session, datetime.now(UTC))
            idempotency.forget(session, datetime.now(UTC))
            self_service.forget_changes(session, self._settings, datetime.now(UTC))
        with self._app.app_context():
            drop_old_pages(db.engine)
        self._dead_letters.forget(datetime.now(UTC))
        self._done_at = time.monotonic()
        return False

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._app.app_context():
            yield db.session()
