"""Everything that is held of a person, for themselves, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import rfc3339, table_of
from newsletter.models import AddressChange, MailReturn, Subscriber
from newsletter.services.subscribers import HistoryEntry, Mail, SubscriberView
from newsletter.services.subscribers.finding import find_own


def copy_of(session: Session, now: datetime, subscriber_id: UUID) -> dict[str, Any] | None:
    """All of it, moments in RFC 3339; None where nobody has this id any more."""
    person = session.execute(select(_SUBSCRIBERS).where(_SUBSCRIBERS.c.id == subscriber_id)).one_or_none()
    if person is None:
        return None
    changes = session.execute(
        select(_CHANGES).where(_CHANGES.c.subscriber_id == subscriber_id).order_by(_CHANGES.c.id)
    )
    returns = session.execute(
        select(_RETURNS)
        .where(_RETURNS.c.subscriber_id == subscriber_id)
        .order_by(_RETURNS.c.at, _RETURNS.c.key)
    )
    return {
        "made_at": rfc3339(now),
        "email": person.address,
        "name": person.name,
        "language": person.locale,
        "attributes": person.attributes,
        "first_seen_at": rfc3339(person.created_at),
        "subscriptions": [_subscription(held) for held in find_own(session, subscriber_id)],
        "address_changes": [
            {
                "from": change.old_address,
                "to": change.new_address,
                "asked_at": rfc3339(change.requested_at),
                "made_at": _moment(change.made_at),
                "stopped_at": _moment(change.stopped_at),
            }
            for change in changes
        ],
        "returned_emails": [
            {
                "kind": came.kind,
                "at": rfc3339(came.at),
                "way": came.way,
                "status": came.status,
                "verdict": came.verdict,
            }
            for came in returns
        ],
    }


def _subscription(held: SubscriberView) -> dict[str, Any]:
    return {
        "list": held.list.slug,
        "list_name": held.list.name,
        "state": held.state.value,
        "source": held.source,
        "created_at": rfc3339(held.created_at),
        "asked_at": rfc3339(held.asked_at),
        "confirmed_at": _moment(held.confirmed_at),
        "unsubscribed_at": _moment(held.unsubscribed_at),
        "paused_until": _moment(held.paused_until),
        "consent_history": [_happening(entry) for entry in held.history],
        "emails": [_mail(mail) for mail in held.mails],
    }


def _happening(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "event": entry.kind.value,
        "at": rfc3339(entry.at),
        "before": entry.before,
        "after": entry.after,
        "way": entry.way,
        "words": entry.words,
        "origin": entry.origin,
        "page": entry.page,
        "network": entry.network,
        "agent": entry.agent,
        "message_id": entry.message_id,
    }


def _mail(mail: Mail) -> dict[str, Any]:
    return {
        "kind": mail.kind.value,
        "status": mail.status.value,
        "attempts": mail.attempts,
        "created_at": rfc3339(mail.created_at),
        "sent_at": _moment(mail.sent_at),
        "last_error": mail.last_error,
        "message_id": mail.message_id,
    }


def _moment(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment is not None else None


_SUBSCRIBERS, _CHANGES = table_of(Subscriber), table_of(AddressChange)
_RETURNS = table_of(MailReturn)
