"""The errand that numbers the journal."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from flask import Flask

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services import journal, webhooks


class NumberJournal:
    """Numbers what was added since."""

    name = "journal"

    def __init__(self, app: Flask) -> None:
        self._app = app

    def work(self, stop: threading.Event) -> bool:  # noqa: ARG002 - a batch is short
        with self._app.app_context():
            session = db.session()
            if not journal.is_behind(session):
                return False
            with write_transaction(session):
                entries = journal.number(session)
                webhooks.fan_out(session, datetime.now(UTC), entries)
                return bool(entries)
