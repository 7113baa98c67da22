"""The alarm of the fuse against mail bombing: said in the log when a surge begins, grows and ends."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import cast

import structlog
from flask import current_app

log = structlog.get_logger()

# Sign-ups are answered side by side, and a surge may be one domain's: so a calm one between others tells
# nothing. The surge is lower when nothing has told of its height for so long.
_HOLD = timedelta(minutes=1)


class Surges:
    """Remembers, for this process, how high the surge is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._level = 0
        self._seen: datetime | None = None

    def note(self, level: int, now: datetime) -> None:
        """Say what has changed. Each web process says it once."""
        with self._lock:
            before = self._level
            if level < before and self._seen is not None and abs(now - self._seen) < _HOLD:
                return
            self._level, self._seen = level, now
        if level > before:
            log.error("surge", height=level)
        elif before and not level:
            log.warning("surge_over")


def surges() -> Surges:
    """That of this process."""
    return cast("Surges", current_app.extensions["newsletter.surges"])
