"""The errand that notices when the clock was set back, and corrects what was stored while it was ahead."""

from __future__ import annotations

import threading
import time

import structlog
from flask import Flask

from newsletter.database import database_now
from newsletter.extensions import db
from newsletter.services import clock

_JUMP = 60.0  # seconds by which no clock is merely corrected

log = structlog.get_logger()


class FollowClock:
    """Looks at the start, and whenever the clock has gone back since."""

    name = "clock"

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._ahead = float("inf")  # by so much the clock went before the seconds since the machine's start

    def work(self, stop: threading.Event) -> bool:  # noqa: ARG002 - it is short
        ahead = time.time() - time.monotonic()
        if ahead > self._ahead - _JUMP:
            self._ahead = max(self._ahead, ahead)
            return False
        with self._app.app_context():
            corrected = clock.bring_back(db.session(), database_now(db.session()))
        self._ahead = ahead
        if corrected:
            log.warning("clock_was_ahead", corrected=corrected)
        return False
