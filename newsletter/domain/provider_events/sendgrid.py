"""SendGrid: bounces, drops, spam reports and its own unsubscribe link, many in one request
(https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event). The whole request is signed."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from newsletter.domain.provider_events import echo
from newsletter.domain.provider_events.fields import Fields, read_json
from newsletter.domain.provider_events.report import (
    FAILED,
    NO_SUCH_MAILBOX,
    REFUSED,
    Forged,
    Report,
    TooMany,
    Unreadable,
    status_in,
)
from newsletter.domain.returns import ReturnKind

_MOST_EVENTS = 5000  # a request of theirs ends at 768 kB
# SendGrid tries for a day, perhaps with the signature that it began with.
_OLDEST = timedelta(hours=25)
_CLOCKS_DIFFER = timedelta(minutes=5)

_KINDS = {
    "bounce": ReturnKind.BOUNCE,
    "spamreport": ReturnKind.COMPLAINT,
    "unsubscribe": ReturnKind.UNSUBSCRIBE,
    "group_unsubscribe": ReturnKind.UNSUBSCRIBE,
}
# What SendGrid makes of a bounce; its other classes say nothing that would be relied on.
_CLASSES = {"Invalid Address": NO_SUCH_MAILBOX, "Reputation": REFUSED, "Content": REFUSED}
# Of what SendGrid did not even try, by the reason it gives.
_DROPPED = {
    "bounced address": ReturnKind.BOUNCE,
    "invalid": ReturnKind.BOUNCE,
    "spam reporting address": ReturnKind.COMPLAINT,
    "unsubscribed address": ReturnKind.UNSUBSCRIBE,
}


def read_key(text: str) -> ec.EllipticCurvePublicKey:
    """The public key as SendGrid's panel shows it: base64 of DER. Raises `ValueError`."""
    key = load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it is no key of the curve P-256")
    return key


def check_signature(
    key: ec.EllipticCurvePublicKey, body: bytes, *, signature: str, timestamp: str, now: datetime
) -> None:
    """Raise `Forged` unless SendGrid has signed this body, and not long ago."""
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise Forged("it is not signed")
    try:
        given = base64.b64decode(signature, validate=True)
        key.verify(given, timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    except (ValueError, binascii.Error, InvalidSignature) as error:
        raise Forged("its signature is wrong") from error
    if not -_CLOCKS_DIFFER.total_seconds() <= now.timestamp() - int(timestamp) <= _OLDEST.total_seconds():
        raise Forged("its signature has expired")


def read_reports(body: bytes) -> list[Report]:
    """What the events of a request say, as far as they are about what comes back. Raises `Unreadable` and
    `TooMany`."""
    events = read_json(body)
    if not isinstance(events, list):
        raise Unreadable("the body is no list of events")
    if len(events) > _MOST_EVENTS:
        raise TooMany(f"{len(events)} events, and {_MOST_EVENTS} are the most that are taken")
    reports = (_report(Fields(event)) for event in events)
    return [report for report in reports if report is not None]


def _report(event: Fields) -> Report | None:
    name, reason = event.text("event"), event.text("reason")
    kind = _DROPPED.get(reason.lower()) if name == "dropped" else _KINDS.get(name)
    if kind is None:
        return None
    return Report.of(
        echo.mail_of(event.text(echo.NAME)),
        event.text("email"),
        kind,
        status=_status(event) if kind is ReturnKind.BOUNCE else None,
        diagnostic=reason,
        key=f"sendgrid:{event.text('sg_event_id')}",
    )


def _status(event: Fields) -> str | None:
    if event.text("event") == "dropped":
        otherwise = NO_SUCH_MAILBOX
    else:
        otherwise = _CLASSES.get(event.text("bounce_classification"), FAILED)
    return status_in(event.text("status"), event.text("reason"), otherwise=otherwise)
