"""The errand that numbers the journal and chains what it numbered in the ledger: all that happens to
subscriptions passes here, once."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import structlog
from flask import Flask
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from newsletter import counted
from newsletter.database import first_line, write_transaction
from newsletter.extensions import db
from newsletter.services import journal, ledger, webhooks
from newsletter.services.ledger import LedgerStopped
from newsletter.settings import Settings

_REST = 30.0  # seconds between looks at a ledger that was found broken

log = structlog.get_logger()


class NumberJournal:
    """Numbers and chains what was added since."""

    name = "journal"

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._ledger_rests_until = float("-inf")

    def work(self, stop: threading.Event) -> bool:  # noqa: ARG002 - a batch is short
        with self._app.app_context():
            session = db.session()
            if not (journal.is_behind(session) or self._is_ledger_behind(session)):
                return False
            with write_transaction(session):
                entries = journal.number(session)
                webhooks.fan_out(session, datetime.now(UTC), entries)
                chained = self._chain(session)
            counted.happened((entry.kind, entry.way) for entry in entries)
            return chained or bool(entries)

    def _is_ledger_behind(self, session: Session) -> bool:
        return time.monotonic() >= self._ledger_rests_until and ledger.is_behind(session)

    def _chain(self, session: Session) -> bool:
        """What is wrong with the ledger stops neither feeds nor webhooks."""
        if time.monotonic() < self._ledger_rests_until:
            return False
        try:
            with session.begin_nested():
                return ledger.extend(session, self._settings) > 0
        except (LedgerStopped, IntegrityError) as error:
            self._ledger_rests_until = time.monotonic() + _REST
            log.error("ledger_stopped", error=first_line(error))
            return False
