"""A person, with their subscriptions to all lists that somebody may see. Where that is none, the person does
not exist to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.services.access import Actor


@dataclass(frozen=True)
class Standing:
    """How a person stands with one list."""

    id: UUID
    slug: str
    state: State
    source: str
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    paused_until: datetime | None


@dataclass(frozen=True)
class Person:
    """Somebody with an address. What is theirs is the same on every list."""

    id: UUID
    address: str
    name: str | None
    locale: str
    attributes: dict[str, Any]
    created_at: datetime
    standings: tuple[Standing, ...]


def find(session: Session, actor: Actor, subscriber_id: UUID) -> Person | None:
    """The person with this id."""
    return _find(session, actor, _SUBSCRIBERS.c.id == subscriber_id)


def find_identity(session: Session, actor: Actor, identity: str) -> Person | None:
    """The person with this identity key."""
    return _find(session, actor, _SUBSCRIBERS.c.identity == identity)


def _find(session: Session, actor: Actor, who: ColumnElement[bool]) -> Person | None:
    connection = session.connection()
    person = connection.execute(select(*_PERSON).where(who)).one_or_none()
    if person is None:
        return None
    rows = connection.execute(_STANDINGS.where(_SUBSCRIPTIONS.c.subscriber_id == person.id))
    standings = tuple(
        Standing(row.id, row.slug, State(row.state), *row[4:]) for row in rows if actor.sees(row.list_id)
    )
    return Person(**person._asdict(), standings=standings) if standings else None


_SUBSCRIBERS, _SUBSCRIPTIONS, _LISTS = table_of(Subscriber), table_of(Subscription), table_of(MailingList)
_PERSON = tuple(
    _SUBSCRIBERS.c[name] for name in ("id", "address", "name", "locale", "attributes", "created_at")
)
_STANDINGS = (
    select(
        _SUBSCRIPTIONS.c.list_id,
        _SUBSCRIPTIONS.c.id,
        _LISTS.c.slug,
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.source,
        _SUBSCRIPTIONS.c.created_at,
        _SUBSCRIPTIONS.c.confirmed_at,
        _SUBSCRIPTIONS.c.unsubscribed_at,
        _SUBSCRIPTIONS.c.paused_until,
    )
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
    .order_by(_LISTS.c.created_at, _LISTS.c.id)
)
