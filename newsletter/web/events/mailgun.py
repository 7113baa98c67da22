"""The door of Mailgun."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask, Response

from newsletter.domain.provider_events.mailgun import CLOCKS_DIFFER, OLDEST, read_event
from newsletter.extensions import csrf
from newsletter.parts import parts
from newsletter.services.take_reports import Delivery, Token
from newsletter.web.events import door


def register(app: Flask) -> None:
    door.open_door(app, "mailgun", take_mailgun)


@csrf.exempt
def take_mailgun() -> Response:
    """One event."""
    key = parts().settings.mailgun_signing_key or ""
    with door.refusals("mailgun"):
        told = read_event(door.body(), signing_key=key, now=datetime.now(UTC))
        return door.take(Delivery("mailgun", told.reports, Token(told.token, OLDEST + 2 * CLOCKS_DIFFER)))
