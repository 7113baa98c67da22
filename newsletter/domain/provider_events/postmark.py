"""Postmark: bounces, spam complaints and its own unsubscribe link
(https://postmarkapp.com/developer/webhooks/webhooks-overview).

Postmark signs nothing: it proves itself by a user and a password that stand in the webhook's address.
"""

from __future__ import annotations

import hmac

from newsletter.domain.provider_events import echo
from newsletter.domain.provider_events.fields import Fields, read_object
from newsletter.domain.provider_events.report import (
    LATER,
    NO_SUCH_MAILBOX,
    REFUSED,
    Forged,
    Report,
    status_in,
)
from newsletter.domain.returns import ReturnKind

# By the `Type` of a bounce: the status where the receiver's own words hold none. What is not here is no
# bounce (automatic replies), or tells of what Postmark itself decided.
_STATUSES = {
    "HardBounce": NO_SUCH_MAILBOX,
    "BadEmailAddress": NO_SUCH_MAILBOX,
    "SoftBounce": LATER,
    "Transient": LATER,
    "DnsError": LATER,
    "Blocked": REFUSED,
    "SpamNotification": REFUSED,
    "DMARCPolicy": REFUSED,
}


def check_caller(expected: str, user: str, password: str) -> None:
    """Raise `Forged` unless user and password are those that were agreed on, as `user:password`."""
    given = f"{user}:{password}".encode(errors="replace")
    if not hmac.compare_digest(expected.encode(), given):
        raise Forged("its user or password is wrong")


def read_reports(body: bytes) -> list[Report]:
    """What the event says; nothing where it is about something else. Raises `Unreadable`."""
    event = read_object(body)
    record, kind = event.text("RecordType"), event.text("Type")
    if record == "SpamComplaint" or (record == "Bounce" and kind == "SpamComplaint"):
        return [_report(event, ReturnKind.COMPLAINT, key=event.text("ID"))]
    if record == "Bounce" and kind in _STATUSES:
        status = status_in(event.text("Details"), otherwise=_STATUSES[kind])
        return [_report(event, ReturnKind.BOUNCE, key=event.text("ID"), status=status)]
    if record == "SubscriptionChange" and event.is_true("SuppressSending") and _was_asked_for(event):
        return [
            _report(event, ReturnKind.UNSUBSCRIBE, key=f"{event.text('MessageID')}:{event.text('ChangedAt')}")
        ]
    return []


def _was_asked_for(event: Fields) -> bool:
    """Whether the reader did it, rather than a bounce, a complaint (which are told apart from this), or the
    publisher in Postmark's panel."""
    return event.text("Origin") == "Recipient" and event.text("SuppressionReason") == "ManualSuppression"


def _report(event: Fields, kind: ReturnKind, *, key: str, status: str | None = None) -> Report:
    return Report.of(
        echo.mail_of(event.inside("Metadata").text(echo.NAME)),
        event.text("Email") or event.text("Recipient"),
        kind,
        status=status,
        diagnostic=event.text("Details") or event.text("Description"),
        key=f"postmark:{key}",
    )
