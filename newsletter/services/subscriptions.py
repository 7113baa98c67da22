"""Finding subscriptions by their id, which is all that a link carries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.models import MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.queries import Query, among
from newsletter.services import lists
from newsletter.services.lists import ListView


@dataclass(frozen=True)
class Found:
    """A subscription with its list, and its subscriber's address and language."""

    id: UUID
    state: State
    generation: int
    address: str
    identity: str
    locale: str
    list: ListView


def find(session: Session, subscription_id: UUID) -> Found | None:
    """The subscription with this id; None where it was purged or erased."""
    return _read(session, _BY_ID, [subscription_id]).get(subscription_id)


def find_mailed(session: Session, subscription_id: UUID) -> tuple[Found | None, datetime | None]:
    """The same, and when it was last sent a mail."""
    found, mailed = None, None
    for row in _BY_ID_MAILED.rows(session, ids=[subscription_id]):
        found, mailed = _found(row), row.mailed
    return found, mailed


def lock(session: Session, subscription_ids: Collection[UUID]) -> dict[UUID, Found]:
    """Those of the subscriptions that exist, locked until the commit, in order of id so that two
    batches cannot wait for each other."""
    return _read(session, _LOCKED, subscription_ids)


def _read(session: Session, query: Query, ids: Collection[UUID]) -> dict[UUID, Found]:
    return {row.subscription_id: _found(row) for row in query.rows(session, ids=list(ids))}


def _found(row: Any) -> Found:
    return Found(
        row.subscription_id,
        State(row.state),
        row.generation,
        row.address,
        row.identity,
        row.reads,
        lists.view(row),
    )


_SUBSCRIPTIONS, _SUBSCRIBERS, _LISTS = table_of(Subscription), table_of(Subscriber), table_of(MailingList)
_OUTBOX = table_of(OutboxMessage)
_LAST_MAILED = (
    select(func.max(_OUTBOX.c.sent_at))
    .where(_OUTBOX.c.subscription_id == _SUBSCRIPTIONS.c.id)
    .scalar_subquery()
    .label("mailed")
)


def _select(*more: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            _SUBSCRIPTIONS.c.id.label("subscription_id"),
            _SUBSCRIPTIONS.c.state,
            _SUBSCRIPTIONS.c.generation,
            _SUBSCRIBERS.c.address,
            _SUBSCRIBERS.c.identity,
            _SUBSCRIBERS.c.locale.label("reads"),
            *more,
            *lists.COLUMNS,
        )
        .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
        .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
        .where(among(_SUBSCRIPTIONS.c.id, "ids"))
    )


_BY_ID = Query(_select())
_BY_ID_MAILED = Query(_select(_LAST_MAILED))
_LOCKED = Query(_select().order_by(_SUBSCRIPTIONS.c.id).with_for_update(of=_SUBSCRIPTIONS))
