"""The errand that does what was asked while the database was away."""

from __future__ import annotations

import threading

from flask import Flask

from newsletter.extensions import db
from newsletter.services import spooled
from newsletter.settings import Settings
from newsletter.spool import Spool


class ApplySpool:
    """Applies what this machine's web processes kept. The worker does so too before each mail; here it waits
    for no relay."""

    name = "spool"

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._spool = Spool(settings.spool_dir)

    def work(self, stop: threading.Event) -> bool:  # noqa: ARG002 - a batch is short
        with self._app.app_context():
            return spooled.drain(db.engine, self._settings, self._spool) > 0
