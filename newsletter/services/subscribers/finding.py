"""One subscriber of a list, with all that is kept of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, State
from newsletter.models import ConsentEvent, MailingList, OutboxMessage, Subscriber, Subscription, Wording
from newsletter.models.outbox import Kind, Status
from newsletter.services import lists
from newsletter.services.lists import ListView


class SubscriberGone(Exception):
    """There is no such subscriber, or none any more."""

    def __init__(self) -> None:
        super().__init__("there is no such subscriber any more")


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that happened to a subscription. `words` are a form's, or an operator's statement."""

    kind: Event
    at: datetime
    before: State | None
    after: State | None
    way: str
    words: str | None
    origin: str | None
    page: str | None
    network: str | None
    agent: str | None
    message_id: str | None


@dataclass(frozen=True)
class Mail:
    """One mail to a subscriber, and what became of it."""

    id: UUID
    kind: Kind
    status: Status
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    sent_at: datetime | None
    last_error: str | None
    message_id: str


@dataclass(frozen=True)
class Elsewhere:
    """The same person on another list."""

    id: UUID
    list: ListView
    state: State


@dataclass(frozen=True)
class SubscriberView:
    """A subscriber, as the other rooms see them. `id` is the subscription's; what is theirs on every list
    (address, name, language, attributes) is `subscriber_id`'s."""

    id: UUID
    subscriber_id: UUID
    list: ListView
    address: str
    identity: str
    name: str | None
    locale: str
    attributes: dict[str, Any]
    state: State
    source: str
    created_at: datetime
    asked_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    paused_until: datetime | None
    history: tuple[HistoryEntry, ...] = ()
    mails: tuple[Mail, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()


def find(session: Session, subscription_id: UUID) -> SubscriberView | None:
    """The subscriber with their whole history and all mails, oldest first; None where they are gone."""
    row = session.connection().execute(_ONE.where(_SUBSCRIPTIONS.c.id == subscription_id)).one_or_none()
    return _view(session, row) if row is not None else None


def find_address(session: Session, list_id: UUID, identity: str) -> SubscriberView | None:
    """The subscriber of a list with this identity key."""
    row = (
        session.connection()
        .execute(_ONE.where(_SUBSCRIPTIONS.c.list_id == list_id, _SUBSCRIBERS.c.identity == identity))
        .one_or_none()
    )
    return _view(session, row) if row is not None else None


def find_own(session: Session, subscriber_id: UUID) -> list[SubscriberView]:
    """All that a person holds, list by list."""
    rows = session.connection().execute(_ONE.where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id)).all()
    return [_view(session, row) for row in sorted(rows, key=lambda row: row.subscription_id)]


def _view(session: Session, row: Any) -> SubscriberView:
    return SubscriberView(
        id=row.subscription_id,
        subscriber_id=row.subscriber_id,
        list=lists.view(row),
        address=row.address,
        identity=row.identity,
        name=row.person,
        locale=row.reads,
        attributes=row.attributes,
        state=State(row.state),
        source=row.source,
        created_at=row.joined_at,
        asked_at=row.asked_at,
        confirmed_at=row.confirmed_at,
        unsubscribed_at=row.unsubscribed_at,
        paused_until=row.paused_until,
        history=_history(session, row.subscription_id),
        mails=_mails(session, row.subscription_id),
        elsewhere=_elsewhere(session, row.subscriber_id, row.subscription_id),
    )


def _history(session: Session, subscription_id: UUID) -> tuple[HistoryEntry, ...]:
    rows = session.connection().execute(_HISTORY.where(_EVENTS.c.subscription_id == subscription_id))
    return tuple(
        HistoryEntry(
            **row._asdict()
            | {
                "kind": Event(row.kind),
                "before": State(row.before) if row.before else None,
                "after": State(row.after) if row.after else None,
            }
        )
        for row in rows
    )


def _mails(session: Session, subscription_id: UUID) -> tuple[Mail, ...]:
    rows = session.connection().execute(_MAILS.where(_OUTBOX.c.subscription_id == subscription_id))
    return tuple(
        Mail(**row._asdict() | {"kind": Kind(row.kind), "status": Status(row.status)}) for row in rows
    )


def _elsewhere(session: Session, subscriber_id: UUID, but: UUID) -> tuple[Elsewhere, ...]:
    rows = session.connection().execute(
        _ELSEWHERE.where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id, _SUBSCRIPTIONS.c.id != but)
    )
    return tuple(Elsewhere(row.subscription_id, lists.view(row), State(row.state)) for row in rows)


_SUBSCRIBERS, _SUBSCRIPTIONS, _LISTS = table_of(Subscriber), table_of(Subscription), table_of(MailingList)
_EVENTS, _OUTBOX, _WORDINGS = table_of(ConsentEvent), table_of(OutboxMessage), table_of(Wording)
_ONE = (
    select(
        _SUBSCRIPTIONS.c.id.label("subscription_id"),
        _SUBSCRIPTIONS.c.subscriber_id,
        _SUBSCRIBERS.c.address,
        _SUBSCRIBERS.c.identity,
        _SUBSCRIBERS.c.name.label("person"),
        _SUBSCRIBERS.c.locale.label("reads"),
        _SUBSCRIBERS.c.attributes,
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.source,
        _SUBSCRIPTIONS.c.created_at.label("joined_at"),
        _SUBSCRIPTIONS.c.asked_at,
        _SUBSCRIPTIONS.c.confirmed_at,
        _SUBSCRIPTIONS.c.unsubscribed_at,
        _SUBSCRIPTIONS.c.paused_until,
        *lists.COLUMNS,
    )
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
)
_HISTORY = (
    select(
        _EVENTS.c.kind,
        _EVENTS.c.at,
        _EVENTS.c.before,
        _EVENTS.c.after,
        _EVENTS.c.way,
        _WORDINGS.c.text.label("words"),
        _EVENTS.c.origin,
        _EVENTS.c.page,
        _EVENTS.c.network,
        _EVENTS.c.agent,
        _EVENTS.c.message_id,
    )
    .outerjoin(_WORDINGS, _WORDINGS.c.digest == _EVENTS.c.wording)
    .order_by(_EVENTS.c.id)
)
_MAILS = select(
    _OUTBOX.c.id,
    _OUTBOX.c.kind,
    _OUTBOX.c.status,
    _OUTBOX.c.attempts,
    _OUTBOX.c.created_at,
    _OUTBOX.c.next_attempt_at,
    _OUTBOX.c.sent_at,
    _OUTBOX.c.last_error,
    _OUTBOX.c.message_id,
).order_by(_OUTBOX.c.id)
_ELSEWHERE = (
    select(_SUBSCRIPTIONS.c.id.label("subscription_id"), _SUBSCRIPTIONS.c.state, *lists.COLUMNS)
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
    .order_by(_LISTS.c.created_at, _LISTS.c.id)
)
