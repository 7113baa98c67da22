"""The alarm of the fuse against mail bombing: said in the log when a surge begins, grows and ends."""

from __future__ import annotations

import threading
from typing import cast

import structlog
from flask import current_app

log = structlog.get_logger()


class Surges:
    """Remembers, for this process, how high the surge was when it was last looked at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._level = 0

    def note(self, level: int) -> None:
        """Say what has changed. Each web process says it once."""
        with self._lock:
            before, self._level = self._level, level
        if level > before:
            log.error("surge", height=level)
        elif before and not level:
            log.warning("surge_over")


def surges() -> Surges:
    """That of this process."""
    return cast("Surges", current_app.extensions["newsletter.surges"])
