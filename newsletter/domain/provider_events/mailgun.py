"""Mailgun: permanent failures, complaints and its own unsubscribe link
(https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads).

Its signature covers a time and a token, and not what is told. So a token is good for one event: whoever saw
one go by could otherwise tell whatever they like with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter.domain.provider_events import echo
from newsletter.domain.provider_events.fields import Fields, read_object
from newsletter.domain.provider_events.report import (
    FAILED,
    LATER,
    NO_SUCH_MAILBOX,
    Forged,
    Report,
    status_in,
)
from newsletter.domain.returns import ReturnKind

# Mailgun tries for eight hours, perhaps with the signature that it began with.
OLDEST = timedelta(hours=10)
CLOCKS_DIFFER = timedelta(minutes=5)

# Of what Mailgun did not even try, since it was told so before: by this address, of mail from this domain.
_SUPPRESSED = {
    "suppress-bounce": ReturnKind.BOUNCE,
    "suppress-complaint": ReturnKind.COMPLAINT,
    "suppress-unsubscribe": ReturnKind.UNSUBSCRIBE,
}
_KINDS = {"complained": ReturnKind.COMPLAINT, "unsubscribed": ReturnKind.UNSUBSCRIBE}


@dataclass(frozen=True)
class Told:
    """An event, and the token that must not have been seen before."""

    token: str
    reports: tuple[Report, ...]


def read_event(body: bytes, *, signing_key: str, now: datetime) -> Told:
    """What a body tells. Raises `Unreadable` and `Forged`."""
    fields = read_object(body)
    token = _check_signature(fields.inside("signature"), signing_key, now)
    return Told(token, tuple(_reports(fields.inside("event-data"), token)))


def _check_signature(signature: Fields, signing_key: str, now: datetime) -> str:
    timestamp, token = signature.text("timestamp"), signature.text("token")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not re.fullmatch(r"[0-9A-Za-z_-]{16,100}", token):
        raise Forged("it is not signed")
    expected = hmac.new(signing_key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    # For a subaccount's mail, the account above it signs as well.
    given = [signature.text(name).encode(errors="replace") for name in ("signature", "parent-signature")]
    if not any(hmac.compare_digest(expected.encode(), one) for one in given):
        raise Forged("its signature is wrong")
    if not -CLOCKS_DIFFER.total_seconds() <= now.timestamp() - int(timestamp) <= OLDEST.total_seconds():
        raise Forged("its signature has expired")
    return token


def _reports(event: Fields, token: str) -> list[Report]:
    name = event.text("event")
    if name in _KINDS:
        return [_report(event, _KINDS[name], token)]
    if name != "failed" or event.text("severity") != "permanent":
        return []
    kind = _SUPPRESSED.get(event.text("reason"), ReturnKind.BOUNCE)
    return [_report(event, kind, token, status=_status(event) if kind is ReturnKind.BOUNCE else None)]


def _status(event: Fields) -> str | None:
    if event.text("reason") == "suppress-bounce":
        return NO_SUCH_MAILBOX
    delivery = event.inside("delivery-status")
    # Given up after hours of "later" is permanent to Mailgun, and says nothing against the address.
    otherwise = LATER if delivery.text("code").startswith("4") else FAILED
    return status_in(
        delivery.text("enhanced-code"),
        delivery.text("message"),
        delivery.text("description"),
        otherwise=otherwise,
    )


def _report(event: Fields, kind: ReturnKind, token: str, *, status: str | None = None) -> Report:
    delivery = event.inside("delivery-status")
    return Report.of(
        echo.mail_of(event.inside("user-variables").text(echo.NAME))
        or echo.mail_of_message_id(event.inside("message").inside("headers").text("message-id")),
        event.text("recipient"),
        kind,
        status=status,
        diagnostic=delivery.text("message") or delivery.text("description"),
        # Mailgun's own id of an event is unique within a day only.
        key=f"mailgun:{event.text('timestamp')}:{event.text('id') or token}",
    )
