"""The door of Postmark."""

from __future__ import annotations

from flask import Flask, Response, request

from newsletter.domain.provider_events.postmark import check_caller, read_reports
from newsletter.extensions import csrf
from newsletter.parts import parts
from newsletter.services.take_reports import Delivery
from newsletter.web.events import door


def register(app: Flask) -> None:
    door.open_door(app, "postmark", take_postmark)


@csrf.exempt
def take_postmark() -> Response:
    """One event."""
    sent = request.authorization
    user, password = (sent.username or "", sent.password or "") if sent else ("", "")
    with door.refusals("postmark"):
        check_caller(parts().settings.postmark_webhook or "", user, password)
        return door.take(Delivery("postmark", tuple(read_reports(door.body()))))
