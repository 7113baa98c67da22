"""What the worker does beside sending mail: one errand a file."""

from __future__ import annotations

from flask import Flask

from newsletter.settings import Settings
from newsletter.work.clock import FollowClock
from newsletter.work.errands import Errand
from newsletter.work.imports import RunImports
from newsletter.work.journal import NumberJournal
from newsletter.work.reminders import RemindUnconfirmed
from newsletter.work.spool import ApplySpool
from newsletter.work.webhooks import TellWebhooks


def errands(app: Flask, settings: Settings) -> list[Errand]:
    """All of them, in the order in which one makes work for the next."""
    return [
        FollowClock(app),
        ApplySpool(app, settings),
        RunImports(app, settings),
        RemindUnconfirmed(app, settings),
        NumberJournal(app, settings),
        TellWebhooks(app, settings),
    ]
