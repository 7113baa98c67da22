"""The errand that reminds those who never confirmed."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import structlog
from flask import Flask

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services import remind
from newsletter.services.lists import ListView
from newsletter.services.remind import Place
from newsletter.settings import Settings

_EVERY = 60.0  # seconds: a reminder is due after hours

log = structlog.get_logger()


class RemindUnconfirmed:
    """Goes through the lists that remind, a batch a transaction, once a minute."""

    name = "reminders"

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._looked_at = float("-inf")

    def work(self, stop: threading.Event) -> bool:
        if time.monotonic() - self._looked_at < _EVERY:
            return False
        with self._app.app_context():
            reminding = remind.reminding(db.session())
        made = sum(self._remind(mailing_list, stop) for mailing_list in reminding)
        self._looked_at = time.monotonic()
        return made > 0

    def _remind(self, mailing_list: ListView, stop: threading.Event) -> int:
        made = 0
        place: Place | None = None
        while not stop.is_set():
            with self._app.app_context():
                session = db.session()
                with write_transaction(session):
                    done = remind.remind(
                        session, self._settings, datetime.now(UTC), mailing_list, after=place
                    )
            made, place = made + done.made, done.last
            if place is None:
                break
        if made:
            log.info("reminders_made", list=mailing_list.slug, mails=made)
        return made
