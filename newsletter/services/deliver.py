"""The worker's side of the outbox: claim what is due, and record what became of it.

A claim is a lease: `next_attempt_at` is pushed to the lease's end, so that a dead worker's mail comes
due again by itself. On PostgreSQL the ids are picked with SKIP LOCKED first and updated after: in one
statement, PostgreSQL may run the inner select again and exceed the limit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, RowMapping, select, update
from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import State
from newsletter.models import MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import OPEN, Kind, Status
from newsletter.services import lists, suppress
from newsletter.services.lists import ListView
from newsletter.settings import Settings

_OPEN = [status.value for status in OPEN]
# In which states of its subscription a mail still has its reason.
_REASONS = {
    Kind.CONFIRMATION: {State.PENDING},
    Kind.ALREADY_SUBSCRIBED: {State.CONFIRMED},
    Kind.LINKS: {State.PENDING, State.CONFIRMED},
}


@dataclass(frozen=True)
class Held:
    """One subscription of the person that a mail goes to."""

    subscription_id: UUID
    list_name: str
    state: State


@dataclass(frozen=True)
class Claimed:
    """A message in a worker's hands, with all that it is made of."""

    id: UUID
    lease_id: UUID
    kind: Kind
    message_id: str
    attempts: int
    created_at: datetime
    address: str
    locale: str
    subscription_id: UUID
    generation: int
    list: ListView
    held: tuple[Held, ...]


def claim(
    session: Session, settings: Settings, now: datetime, *, lease_id: UUID, limit: int
) -> list[Claimed]:
    """Take up to `limit` messages that are due. State and suppression are read again here (S7): a
    message whose reason is gone is cancelled and not returned."""
    ids = session.scalars(
        select(OutboxMessage.id)
        .where(OutboxMessage.status.in_(_OPEN), OutboxMessage.next_attempt_at <= now)
        .order_by(OutboxMessage.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not ids:
        return []
    rows = (
        session.execute(
            select(
                OutboxMessage.id,
                OutboxMessage.kind,
                OutboxMessage.message_id,
                OutboxMessage.attempts,
                OutboxMessage.created_at.label("queued_at"),
                OutboxMessage.subscription_id,
                Subscription.state,
                Subscription.generation,
                Subscription.subscriber_id,
                Subscriber.address,
                Subscriber.identity,
                Subscriber.locale,
                *lists.COLUMNS,
            )
            .join(Subscription, Subscription.id == OutboxMessage.subscription_id)
            .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
            .join(MailingList, MailingList.id == Subscription.list_id)
            .where(OutboxMessage.id.in_(ids))
            .order_by(OutboxMessage.next_attempt_at, OutboxMessage.id)
        )
        .mappings()
        .all()
    )
    suppressed = suppress.which(session, settings, {row[Subscriber.identity] for row in rows})
    wanted = [
        row
        for row in rows
        if State(row[Subscription.state]) in _REASONS[Kind(row[OutboxMessage.kind])]
        and row[Subscriber.identity] not in suppressed
    ]
    held = _held(
        session,
        {row[Subscription.subscriber_id] for row in wanted if Kind(row[OutboxMessage.kind]) is Kind.LINKS},
    )
    kept = [row[OutboxMessage.id] for row in wanted]
    _set(session, set(ids) - set(kept), status=Status.CANCELLED.value)
    _set(
        session,
        kept,
        status=Status.INFLIGHT.value,
        lease_id=lease_id,
        next_attempt_at=now + settings.outbox_lease,
        attempts=OutboxMessage.attempts + 1,
    )
    return [_claimed(row, lease_id, held.get(row[Subscription.subscriber_id], ())) for row in wanted]


def _claimed(row: RowMapping, lease_id: UUID, held: Sequence[Held]) -> Claimed:
    return Claimed(
        id=row[OutboxMessage.id],
        lease_id=lease_id,
        kind=Kind(row[OutboxMessage.kind]),
        message_id=row[OutboxMessage.message_id],
        attempts=row[OutboxMessage.attempts] + 1,
        created_at=row["queued_at"],
        address=row[Subscriber.address],
        locale=row[Subscriber.locale],
        subscription_id=row[OutboxMessage.subscription_id],
        generation=row[Subscription.generation],
        list=lists.view(row),
        held=tuple(held),
    )


def _held(session: Session, subscriber_ids: Collection[UUID]) -> dict[UUID, list[Held]]:
    """What each of these people holds: their subscriptions that can be ended."""
    found: dict[UUID, list[Held]] = {}
    if not subscriber_ids:
        return found
    rows = session.execute(
        select(Subscription.subscriber_id, Subscription.id, Subscription.state, MailingList.name)
        .join(MailingList, MailingList.id == Subscription.list_id)
        .where(
            Subscription.subscriber_id.in_(list(subscriber_ids)),
            Subscription.state.in_([State.PENDING.value, State.CONFIRMED.value]),
        )
        .order_by(Subscription.id)
    )
    for subscriber_id, subscription_id, state, list_name in rows:
        found.setdefault(subscriber_id, []).append(Held(subscription_id, list_name, State(state)))
    return found


def still_wanted(session: Session, message: Claimed) -> bool:
    """Whether the message is still ours to send: asked right before DATA (checklist U12)."""
    return (
        session.scalar(
            select(OutboxMessage.id).where(
                OutboxMessage.id == message.id,
                OutboxMessage.lease_id == message.lease_id,
                OutboxMessage.status == Status.INFLIGHT.value,
            )
        )
        is not None
    )


def extend(session: Session, settings: Settings, now: datetime, *, lease_id: UUID) -> None:
    """Keep a living worker's claims from coming due."""
    session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.lease_id == lease_id, OutboxMessage.status == Status.INFLIGHT.value)
        .values(next_attempt_at=now + settings.outbox_lease)
        .execution_options(synchronize_session=False)
    )


def record_sent(session: Session, now: datetime, message: Claimed) -> None:
    """The relay took it; true even where it was cancelled while the relay had it already."""
    _record(
        session,
        message,
        statuses=(Status.INFLIGHT, Status.CANCELLED),
        status=Status.SENT.value,
        sent_at=now,
        last_error=None,
    )


def record_retry(session: Session, message: Claimed, *, at: datetime, error: str) -> None:
    """The relay wants it later."""
    _record(session, message, status=Status.AWAITING_RETRY.value, next_attempt_at=at, last_error=error)


def record_failure(session: Session, message: Claimed, *, error: str) -> None:
    """It will not be sent."""
    _record(session, message, status=Status.FAILED.value, last_error=error)


def release(session: Session, now: datetime, messages: Sequence[Claimed]) -> None:
    """Give back claims that were not tried: they are due at once, for any worker."""
    for message in messages:
        _record(
            session,
            message,
            status=Status.QUEUED.value,
            next_attempt_at=now,
            attempts=OutboxMessage.attempts - 1,
            lease_id=None,
        )


def _record(
    session: Session, message: Claimed, *, statuses: Sequence[Status] = (Status.INFLIGHT,), **values: Any
) -> bool:
    """Write a result, unless another worker holds the message by now."""
    result = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.id == message.id,
            OutboxMessage.lease_id == message.lease_id,
            OutboxMessage.status.in_([status.value for status in statuses]),
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def _set(session: Session, ids: Collection[UUID], **values: Any) -> None:
    if ids:
        session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(list(ids)))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
