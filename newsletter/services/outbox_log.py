"""The outbox as operators see it: what waits, what failed and why, what was sent lately; and trying again.

The outbox is that of all lists. So that a page costs the same however much waits, each looks at so many
messages and no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Subquery, and_, case, exists, func, select, text, true, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import IS_FAILED, IS_OPEN, Kind, Lane, Status
from newsletter.services import audit
from newsletter.services.access import Actor

_LOOK = 1000  # messages of all lists
_CAN_WAIT = [Status.FAILED.value, Status.AWAITING_RETRY.value, Status.QUEUED.value]


class Part(StrEnum):
    """A part of the outbox."""

    WAITING = "waiting"
    FAILED = "failed"


class CannotRetry(Exception):
    """Only what failed or waits can be tried again."""

    def __init__(self) -> None:
        super().__init__("this message does not wait any more: only what failed or waits can be tried again")


@dataclass(frozen=True)
class Entry:
    """One message to a subscriber of a list."""

    id: UUID
    subscription_id: UUID
    address: str
    kind: Kind
    lane: Lane
    status: Status
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    sent_at: datetime | None
    last_error: str | None


@dataclass(frozen=True)
class Some:
    """The first of them, and how many there are; `at_least` where not all were looked at."""

    entries: tuple[Entry, ...]
    number: int
    at_least: bool


@dataclass(frozen=True)
class OutboxView:
    """A list's part of the outbox."""

    waiting: Some
    failed: Some
    sent: tuple[Entry, ...]


def look(session: Session, list_id: UUID, *, limit: int = 50) -> OutboxView:
    """What waits, in the order in which it leaves when it is due; what failed and what was sent, the newest
    first."""
    return OutboxView(
        _some(session, list_id, _WAITING, limit),
        _some(session, list_id, _FAILED, limit),
        tuple(entry for entry in _entries(session, list_id, _LATELY, _LOOK) if entry.status is Status.SENT)[
            :limit
        ],
    )


def page(
    session: Session, list_id: UUID, which: Part | None, before: UUID | None, limit: int
) -> tuple[tuple[Entry, ...], UUID | None]:
    """The newest messages that are older than one of them, and where the next page begins; None where there
    is none. A page may hold fewer than `limit`, even none: it looks at so many messages and no more."""
    conditions: list[Any] = [_PARTS[which]] if which is not None else []
    conditions += [_OUTBOX.c.id < before] if before is not None else []
    looked = _first(_NEWEST, which=and_(true(), *conditions))
    entries = _entries(session, list_id, looked, limit)
    if len(entries) == limit:
        return entries, entries[-1].id
    number, last = session.connection().execute(select(func.count(), func.max(looked.c.place))).one()
    if number < _LOOK:
        return entries, None
    oldest = select(looked.c.id).where(looked.c.place == last)
    return entries, session.connection().execute(oldest).scalar_one()


def find(session: Session, list_id: UUID, message_id: UUID) -> Entry | None:
    """One message of a list."""
    looked = _first(_NEWEST, which=_OUTBOX.c.id == message_id)
    return next(iter(_entries(session, list_id, looked, 1)), None)


def retry(session: Session, now: datetime, actor: Actor, list_id: UUID, message_id: UUID) -> None:
    """Let a message of a list be due now, as if it were new. Raises `CannotRetry`."""
    if not _again(session, now, list_id, _OUTBOX.c.id == message_id, _OUTBOX.c.status.in_(_CAN_WAIT)):
        raise CannotRetry
    audit.record(session, now, actor, "mail.retried", list_id=list_id, subject=str(message_id))


def retry_failed(session: Session, now: datetime, actor: Actor, list_id: UUID) -> int:
    """Let all that failed of a list be due now; returns how many those are."""
    # They are many, so what a visitor waits for now goes before them.
    behind = case((_OUTBOX.c.lane < Lane.TRANSACTIONAL.value, Lane.TRANSACTIONAL.value), else_=_OUTBOX.c.lane)
    retried = _again(session, now, list_id, text(IS_FAILED), lane=behind)
    if retried:
        audit.record(session, now, actor, "mail.all_retried", list_id=list_id, number=retried)
    return retried


def _again(session: Session, now: datetime, list_id: UUID, *which: Any, **more: Any) -> int:
    ours = exists().where(
        _SUBSCRIPTIONS.c.id == _OUTBOX.c.subscription_id, _SUBSCRIPTIONS.c.list_id == list_id
    )
    rows = session.execute(
        update(_OUTBOX)
        .where(*which, ours)
        .values(status=Status.QUEUED.value, attempts=0, next_attempt_at=now, lease_id=None, **more)
        .returning(_OUTBOX.c.id)
    )
    return len(rows.all())


def _some(session: Session, list_id: UUID, looked: Subquery, limit: int) -> Some:
    looks_at = session.connection().execute(select(func.count()).select_from(looked)).scalar_one()
    number = (
        session.connection()
        .execute(
            select(func.count())
            .select_from(looked)
            .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == looked.c.subscription_id)
            .where(_SUBSCRIPTIONS.c.list_id == list_id)
        )
        .scalar_one()
    )
    return Some(_entries(session, list_id, looked, limit), number, at_least=looks_at == _LOOK)


def _entries(session: Session, list_id: UUID, looked: Subquery, limit: int) -> tuple[Entry, ...]:
    rows = session.connection().execute(
        select(*(looked.c[name] for name in _FIELDS), _SUBSCRIBERS.c.address)
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == looked.c.subscription_id)
        .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
        .where(_SUBSCRIPTIONS.c.list_id == list_id)
        .order_by(looked.c.place)
        .limit(limit)
    )
    return tuple(
        Entry(
            **row._asdict() | {"kind": Kind(row.kind), "lane": Lane(row.lane), "status": Status(row.status)}
        )
        for row in rows
    )


_OUTBOX, _SUBSCRIPTIONS, _SUBSCRIBERS = table_of(OutboxMessage), table_of(Subscription), table_of(Subscriber)
_FIELDS = (
    "id", "subscription_id", "kind", "lane", "status", "attempts", "created_at", "next_attempt_at", "sent_at",
    "last_error",
)  # fmt: skip


def _first(*order: ColumnElement[Any], which: Any = None) -> Subquery:
    """The first `_LOOK` of all lists in an order, each with its place in it."""
    place = func.row_number().over(order_by=order).label("place")
    first = select(*(_OUTBOX.c[name] for name in _FIELDS), place).order_by(*order).limit(_LOOK)
    return (first.where(which) if which is not None else first).subquery()


_NEWEST = _OUTBOX.c.id.desc()
_WAITING = _first(_OUTBOX.c.lane, _OUTBOX.c.next_attempt_at, which=text(IS_OPEN))
_FAILED = _first(_NEWEST, which=text(IS_FAILED))
_LATELY = _first(_NEWEST)
_PARTS = {Part.WAITING: text(IS_OPEN), Part.FAILED: text(IS_FAILED)}
