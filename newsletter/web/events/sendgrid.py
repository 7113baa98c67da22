"""The door of SendGrid."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask, Response, request

from newsletter.domain.provider_events.sendgrid import check_signature, read_key, read_reports
from newsletter.extensions import csrf
from newsletter.parts import parts
from newsletter.services.take_reports import Delivery
from newsletter.settings import bad
from newsletter.web.events import door


def register(app: Flask, public_key: str) -> None:
    """Raises `SettingsError` where the key has the right form and is no point of the curve."""
    try:
        read_key(public_key)
    except ValueError as error:
        raise bad("SENDGRID_PUBLIC_KEY", "is no public key of the curve P-256") from error
    door.open_door(app, "sendgrid", take_sendgrid)


@csrf.exempt
def take_sendgrid() -> Response:
    """A batch of events."""
    with door.refusals("sendgrid"):
        body = door.body()
        check_signature(
            read_key(parts().settings.sendgrid_public_key or ""),
            body,
            signature=request.headers.get("X-Twilio-Email-Event-Webhook-Signature", ""),
            timestamp=request.headers.get("X-Twilio-Email-Event-Webhook-Timestamp", ""),
            now=datetime.now(UTC),
        )
        return door.take(Delivery("sendgrid", tuple(read_reports(body))))
