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

from sqlalchemy import Integer, Row, bindparam, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.models import MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import IS_OPEN, Kind, Status
from newsletter.queries import Query, among
from newsletter.services import lists, suppress
from newsletter.services.lists import ListView
from newsletter.settings import Settings

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
    ids = [row.id for row in _DUE.rows(session, now=now, most=limit)]
    if not ids:
        return []
    rows = _CONTENTS.rows(session, ids=ids)
    suppressed = suppress.which(session, settings, {row.identity for row in rows})
    wanted = [
        row for row in rows if State(row.state) in _REASONS[Kind(row.kind)] and row.identity not in suppressed
    ]
    held = _held(
        session,
        {row.subscriber_id for row in wanted if Kind(row.kind) is Kind.LINKS},
    )
    kept = [row.message for row in wanted]
    _set(session, set(ids) - set(kept), status=Status.CANCELLED.value)
    _set(
        session,
        kept,
        status=Status.INFLIGHT.value,
        lease_id=lease_id,
        next_attempt_at=now + settings.outbox_lease,
        attempts=_OUTBOX.c.attempts + 1,
    )
    return [_claimed(row, lease_id, held.get(row.subscriber_id, ())) for row in wanted]


def _claimed(row: Row[Any], lease_id: UUID, held: Sequence[Held]) -> Claimed:
    return Claimed(
        id=row.message,
        lease_id=lease_id,
        kind=Kind(row.kind),
        message_id=row.message_id,
        attempts=row.attempts + 1,
        created_at=row.queued_at,
        address=row.address,
        locale=row.reads,
        subscription_id=row.subscription_id,
        generation=row.generation,
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
    return bool(_WANTED.rows(session, message=message.id, lease=message.lease_id))


def extend(session: Session, settings: Settings, now: datetime, *, lease_id: UUID) -> None:
    """Keep a living worker's claims from coming due."""
    session.connection().execute(
        update(_OUTBOX)
        .where(_OUTBOX.c.lease_id == lease_id, _OUTBOX.c.status == Status.INFLIGHT.value)
        .values(next_attempt_at=now + settings.outbox_lease)
    )


def record_sent(session: Session, now: datetime, message: Claimed) -> None:
    """The relay took it; true even where it was cancelled while the relay had it already."""
    _SENT.run(
        session,
        [{"message": message.id, "lease": message.lease_id, "sent_at": now, "status": Status.SENT.value}],
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
            attempts=_OUTBOX.c.attempts - 1,
            lease_id=None,
        )


def _record(session: Session, message: Claimed, **values: Any) -> None:
    """Write a result, unless the message was cancelled or another worker holds it by now."""
    session.connection().execute(
        update(_OUTBOX)
        .where(
            _OUTBOX.c.id == message.id,
            _OUTBOX.c.lease_id == message.lease_id,
            _OUTBOX.c.status == Status.INFLIGHT.value,
        )
        .values(**values)
    )


def _set(session: Session, ids: Collection[UUID], **values: Any) -> None:
    if ids:
        session.connection().execute(update(_OUTBOX).where(_OUTBOX.c.id.in_(list(ids))).values(**values))


_OUTBOX, _SUBSCRIPTIONS = table_of(OutboxMessage), table_of(Subscription)
_SUBSCRIBERS, _LISTS = table_of(Subscriber), table_of(MailingList)
_DUE = Query(
    select(_OUTBOX.c.id)
    .where(text(IS_OPEN), _OUTBOX.c.next_attempt_at <= bindparam("now", type_=_OUTBOX.c.created_at.type))
    .order_by(_OUTBOX.c.next_attempt_at)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)
_CONTENTS = Query(
    select(
        _OUTBOX.c.id.label("message"),
        _OUTBOX.c.kind,
        _OUTBOX.c.message_id,
        _OUTBOX.c.attempts,
        _OUTBOX.c.created_at.label("queued_at"),
        _OUTBOX.c.subscription_id,
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.generation,
        _SUBSCRIPTIONS.c.subscriber_id,
        _SUBSCRIBERS.c.address,
        _SUBSCRIBERS.c.identity,
        _SUBSCRIBERS.c.locale.label("reads"),
        *lists.COLUMNS,
    )
    .select_from(_OUTBOX)
    .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _OUTBOX.c.subscription_id)
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
    .where(among(_OUTBOX.c.id, "ids"))
    .order_by(_OUTBOX.c.next_attempt_at, _OUTBOX.c.id)
)
_OURS = (_OUTBOX.c.id == bindparam("message"), _OUTBOX.c.lease_id == bindparam("lease"))
_WANTED = Query(select(_OUTBOX.c.id).where(*_OURS, _OUTBOX.c.status == Status.INFLIGHT.value))
_SENT = Query(
    update(_OUTBOX).where(*_OURS, text("status IN ('inflight', 'cancelled')")),
    columns=("status", "sent_at", "last_error"),
)
