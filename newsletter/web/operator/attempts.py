"""Attempts to log in, or to tell one's password again: counted, and those of a browser that has logged in
before apart from all others (checklist O3)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import TooManyRequests

from newsletter.database import write_transaction
from newsletter.parts import parts
from newsletter.services import logins, operators
from newsletter.services.logins import TooManyAttempts
from newsletter.services.operators import OperatorView
from newsletter.web.seeing import network

_DEVICE_LIFE = 365 * 24 * 3600  # seconds


def count_attempt(database: Session, now: datetime, address: str) -> None:
    """Count one for whoever has this address. Raises 429 where there were too many."""
    found = operators.find_by_address(database, address)
    mark = request.cookies.get(_cookie())
    is_known = found is not None and parts().tickets.is_device(mark, found.id)
    device = hashlib.sha256(f"{mark}".encode()).hexdigest()[:32] if is_known else None
    try:
        with write_transaction(database):
            logins.check_attempts(
                database, now, network=network(request.remote_addr), account=address, device=device
            )
    except TooManyAttempts as error:
        raise TooManyRequests(retry_after=error.seconds) from error


def mark_device(response: Response, operator: OperatorView) -> None:
    """Let this browser tell from now on that the operator has logged in with it."""
    response.set_cookie(
        _cookie(),
        parts().tickets.device(operator.id),
        max_age=_DEVICE_LIFE,
        secure=parts().settings.secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def _cookie() -> str:
    return "__Host-newsletter-device" if parts().settings.secure else "newsletter-device"
