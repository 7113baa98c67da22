"""The worker's side of webhooks: claim what is due, write the message, record what became of it.

A claim is a lease, as in the outbox (newsletter.services.deliver): of a worker that died, what it held comes
due again by itself, and is then sent once more under the same id. Messages are claimed one at a time, and
each is written from what is held at that moment: nothing is told of a person who was erased while it
waited."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, func, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import rfc3339, table_of
from newsletter.domain.ids import first_id
from newsletter.domain.webhooks import PATIENCE
from newsletter.models import MailingList, Subscriber, Subscription, Webhook, WebhookDelivery
from newsletter.models.outbox import Status
from newsletter.models.webhook import IS_DUE
from newsletter.queries import Query
from newsletter.services import changes, webhooks
from newsletter.services.access import Actor

# Longer than any attempt may take, the search for the host's address included.
LEASE = timedelta(seconds=60)
# How long the log is kept.
MEMORY = timedelta(days=30)
_WORKER = Actor("worker", frozenset())
GONE = "the receiver says that it is gone for good (410)"
SILENT = f"nothing got through for {PATIENCE.days} days"


@dataclass(frozen=True)
class Claimed:
    """A message in a worker's hands."""

    id: UUID
    lease_id: UUID
    webhook_id: UUID
    list_id: UUID
    url: str
    secrets: tuple[str, ...]  # the present one first
    message_id: str
    type: str
    attempts: int
    body: bytes


def due(session: Session, now: datetime) -> list[UUID]:
    """The webhooks for which something is due: one probe of an index for each that there is."""
    return [row.id for row in _WAITING.rows(session, now=now)]


def claim(session: Session, now: datetime, webhook_id: UUID, *, lease_id: UUID) -> Claimed | None:
    """Take the message that is due for a webhook, the one that was due first; None where none is."""
    rows = _DUE.rows(session, now=now, webhook=webhook_id)
    if not rows:
        return None
    row = rows[0]
    session.connection().execute(
        update(_DELIVERIES)
        .where(_DELIVERIES.c.id == row.id)
        .values(
            status=Status.INFLIGHT.value,
            lease_id=lease_id,
            next_attempt_at=now + LEASE,
            attempts=row.attempts + 1,
        )
    )
    old = row.old_secret if row.old_secret_until is not None and row.old_secret_until > now else None
    return Claimed(
        id=row.id,
        lease_id=lease_id,
        webhook_id=webhook_id,
        list_id=row.list_id,
        url=row.url,
        secrets=(row.secret, old) if old else (row.secret,),
        message_id=row.message_id,
        type=row.type,
        attempts=row.attempts + 1,
        body=_body(row),
    )


def _body(row: Row[Any]) -> bytes:
    data: dict[str, Any] = {"list": row.slug}
    if row.subscription_id is not None:
        held = changes.held(row)
        data |= {
            "seq": row.seq,
            "id": str(row.subscription_id),
            "state": row.state,
            "subscriber": changes.held_as_json(held) if held else None,
        }
    message = {"type": row.type, "timestamp": rfc3339(row.happened_at), "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


# Whoever records a result changes the webhook first and the message then, so that no two wait for each other.


def record_delivered(session: Session, now: datetime, message: Claimed, *, answer: int) -> None:
    """The receiver took it."""
    session.connection().execute(
        update(_WEBHOOKS)
        .where(_WEBHOOKS.c.id == message.webhook_id, _WEBHOOKS.c.failing_since.is_not(None))
        .values(failing_since=None)
    )
    _end(session, message, status=Status.SENT.value, delivered_at=now, answer=answer, last_error=None)


def record_retry(
    session: Session, now: datetime, message: Claimed, *, at: datetime, answer: int | None, error: str
) -> None:
    """It is tried again at a moment."""
    _begins_to_fail(session, now, message)
    _record(
        session,
        message,
        status=Status.AWAITING_RETRY.value,
        next_attempt_at=at,
        answer=answer,
        last_error=error,
    )


def record_failure(
    session: Session, now: datetime, message: Claimed, *, answer: int | None, error: str
) -> str | None:
    """It is given up. Returns why its webhook was switched off, where it was: it said so itself (410), or
    nothing got through for days."""
    _begins_to_fail(session, now, message)
    because = GONE if answer == 410 else SILENT if _is_silent(session, now, message) else None
    if because is not None:
        webhooks.disable(session, now, _WORKER, message.list_id, message.webhook_id, because=because)
    _end(session, message, status=Status.FAILED.value, answer=answer, last_error=error)
    return because


def release(session: Session, now: datetime, message: Claimed) -> None:
    """Give back a claim that was not tried: it is due at once, for any worker."""
    _record(
        session,
        message,
        status=Status.QUEUED.value,
        next_attempt_at=now,
        attempts=_DELIVERIES.c.attempts - 1,
        lease_id=None,
    )


def forget_old(session: Session, now: datetime, *, limit: int = 1000) -> int:
    """Remove up to `limit` messages from the log that are older than it is kept; returns how many."""
    # Ids are in the order of time, so the oldest are found at the beginning of the table's own index.
    old = select(_DELIVERIES.c.id).where(_DELIVERIES.c.id < first_id(now - MEMORY)).order_by(_DELIVERIES.c.id)
    done = session.connection().execute(delete(_DELIVERIES).where(_DELIVERIES.c.id.in_(old.limit(limit))))
    return done.rowcount


def _begins_to_fail(session: Session, now: datetime, message: Claimed) -> None:
    session.connection().execute(
        update(_WEBHOOKS)
        .where(_WEBHOOKS.c.id == message.webhook_id, _WEBHOOKS.c.failing_since.is_(None))
        .values(failing_since=now)
    )


def _is_silent(session: Session, now: datetime, message: Claimed) -> bool:
    found = session.connection().execute(
        select(func.count()).where(
            _WEBHOOKS.c.id == message.webhook_id, _WEBHOOKS.c.failing_since < now - PATIENCE
        )
    )
    return bool(found.scalar_one())


def _record(session: Session, message: Claimed, **values: Any) -> None:
    """Write what comes next, unless it was cancelled or another worker holds it by now."""
    held = _DELIVERIES.c.id == message.id, _DELIVERIES.c.lease_id == message.lease_id
    session.connection().execute(
        update(_DELIVERIES).where(*held, text("status = 'inflight'")).values(**values)
    )


def _end(session: Session, message: Claimed, **values: Any) -> None:
    """Write what became of it: true even where it was cancelled meanwhile."""
    held = _DELIVERIES.c.id == message.id, _DELIVERIES.c.lease_id == message.lease_id
    session.connection().execute(
        update(_DELIVERIES).where(*held, text("status IN ('inflight', 'cancelled')")).values(**values)
    )


_WEBHOOKS, _DELIVERIES, _LISTS = table_of(Webhook), table_of(WebhookDelivery), table_of(MailingList)
_SUBSCRIPTIONS, _SUBSCRIBERS = table_of(Subscription), table_of(Subscriber)
_IS_DUE = (
    text(IS_DUE),
    _DELIVERIES.c.next_attempt_at <= bindparam("now", type_=_DELIVERIES.c.created_at.type),
)
# One probe a webhook: an EXISTS would let PostgreSQL read all that is due, however much that is.
_ANY_DUE = (
    select(_DELIVERIES.c.id)
    .where(_DELIVERIES.c.webhook_id == _WEBHOOKS.c.id, *_IS_DUE)
    .order_by(_DELIVERIES.c.next_attempt_at)
    .limit(1)
    .scalar_subquery()
)
_WAITING = Query(select(_WEBHOOKS.c.id).where(_WEBHOOKS.c.disabled_at.is_(None), _ANY_DUE.is_not(None)))
_DUE = Query(
    select(
        _DELIVERIES.c.id,
        _DELIVERIES.c.message_id,
        _DELIVERIES.c.type,
        _DELIVERIES.c.attempts,
        _DELIVERIES.c.seq,
        _DELIVERIES.c.subscription_id,
        _DELIVERIES.c.state,
        _DELIVERIES.c.happened_at,
        _WEBHOOKS.c.list_id,
        _WEBHOOKS.c.url,
        _WEBHOOKS.c.secret,
        _WEBHOOKS.c.old_secret,
        _WEBHOOKS.c.old_secret_until,
        _LISTS.c.slug,
        *changes.HELD,
    )
    .select_from(_DELIVERIES)
    .join(_WEBHOOKS, _WEBHOOKS.c.id == _DELIVERIES.c.webhook_id)
    .join(_LISTS, _LISTS.c.id == _WEBHOOKS.c.list_id)
    .outerjoin(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _DELIVERIES.c.subscription_id)
    .outerjoin(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .where(
        _DELIVERIES.c.webhook_id == bindparam("webhook", type_=_DELIVERIES.c.webhook_id.type),
        _WEBHOOKS.c.disabled_at.is_(None),
        *_IS_DUE,
    )
    .order_by(_DELIVERIES.c.next_attempt_at, _DELIVERIES.c.id)
    .limit(1)
    .with_for_update(of=_DELIVERIES, skip_locked=True)
)
