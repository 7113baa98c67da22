"""The change feed: what happened to the subscriptions of a list, for whoever keeps a copy of it.

It is the numbered journal, read by number. A number is never below one that was seen, is never used twice,
and appears only when all below it have, so a reader that asks for "all above the last one I have" misses
nothing. With each change comes what is held of the subscriber now; where that is nothing, they were
erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Engine, Integer, Row, Select, bindparam, select
from sqlalchemy.orm import Session

from newsletter.database import rfc3339, table_of
from newsletter.domain.lifecycle import Event, State
from newsletter.models import ConsentEvent, Journal, Subscriber, Subscription
from newsletter.queries import Query

_BATCH = 1000


class AheadOfJournal(Exception):
    """Somebody has seen more than there is: the database was put back to an older state. The message says
    what to do, in one line."""


@dataclass(frozen=True)
class Held:
    """What is held of a subscriber now."""

    email: str
    name: str | None
    locale: str
    attributes: dict[str, Any]
    source: str
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    paused_until: datetime | None


@dataclass(frozen=True)
class Change:
    """One thing that happened to a subscription. `state` is the one after it; none where it was forgotten."""

    seq: int
    at: datetime
    event: Event
    subscription_id: UUID
    state: State | None
    subscriber: Held | None


def changes_since(session: Session, list_id: UUID, since: int, limit: int) -> list[Change]:
    """Up to `limit` changes with numbers above `since`, in their order. Raises `AheadOfJournal`."""
    return _read(session, list_id, since, _end(session, since), limit)


def ndjson(engine: Engine, list_id: UUID, since: int, *, limit: int | None = None) -> Iterator[bytes]:
    """The changes above `since` as newline-delimited JSON, up to the end that the journal has now, or `limit`
    of them. The last line is `{"next": SEQ}`: what to ask for next time. An answer without it was cut short.

    Raises `AheadOfJournal` at once. Each batch is read in a short transaction of its own."""
    with Session(engine) as session:
        end = _end(session, since)
    return _lines(engine, list_id, since, end, limit)


def _lines(engine: Engine, list_id: UUID, since: int, end: int, limit: int | None) -> Iterator[bytes]:
    left = limit
    while left is None or left > 0:
        most = _BATCH if left is None else min(_BATCH, left)
        with Session(engine) as session:
            found = _read(session, list_id, since, end, most)
        if found:
            since = found[-1].seq
            yield b"".join(map(line, found))
        if len(found) < most:
            # All up to the end was seen, though what is last there may be another list's.
            since = end
            break
        left = None if left is None else left - most
    yield _json({"next": since})


def line(change: Change) -> bytes:
    """A change as one line of JSON."""
    return _json(as_json(change))


def as_json(change: Change) -> dict[str, Any]:
    """A change as the feed and webhooks tell it: moments in RFC 3339."""
    held = change.subscriber
    return {
        "seq": change.seq,
        "at": rfc3339(change.at),
        "event": change.event.value,
        "id": str(change.subscription_id),
        "state": change.state.value if change.state else None,
        "subscriber": held_as_json(held) if held else None,
    }


def held_as_json(held: Held) -> dict[str, Any]:
    """What is held of a subscriber, under the names that exports use."""
    return {
        "email": held.email,
        "name": held.name,
        "locale": held.locale,
        "source": held.source,
        "created_at": rfc3339(held.created_at),
        "confirmed_at": rfc3339(held.confirmed_at) if held.confirmed_at else None,
        "unsubscribed_at": rfc3339(held.unsubscribed_at) if held.unsubscribed_at else None,
        "paused_until": rfc3339(held.paused_until) if held.paused_until else None,
        "attributes": held.attributes,
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _end(session: Session, since: int) -> int:
    """How far the journal is numbered. Raises `AheadOfJournal` where somebody has seen more."""
    (row,) = _END.rows(session)
    if since > row.seq:
        raise AheadOfJournal(
            f"the journal ends at {row.seq}, before {since}: it was put back to an older state, so begin at 0"
        )
    return int(row.seq)


def _read(session: Session, list_id: UUID, since: int, end: int, limit: int) -> list[Change]:
    rows = _SINCE.rows(session, list_id=list_id, since=since, end=end, most=limit)
    return [
        Change(
            row.seq,
            row.at,
            Event(row.kind),
            row.subscription_id,
            State(row.after) if row.after else None,
            held(row),
        )
        for row in rows
    ]


def held(row: Row[Any]) -> Held | None:
    """What is held, of a row that has the columns of `HELD`."""
    if row.address is None:
        return None
    return Held(
        row.address,
        row.name,
        row.locale,
        row.attributes,
        row.source,
        row.joined_at,
        row.confirmed_at,
        row.unsubscribed_at,
        row.paused_until,
    )


_EVENTS, _JOURNAL = table_of(ConsentEvent), table_of(Journal)
_SUBSCRIPTIONS, _SUBSCRIBERS = table_of(Subscription), table_of(Subscriber)
HELD = (
    _SUBSCRIBERS.c.address,
    _SUBSCRIBERS.c.name,
    _SUBSCRIBERS.c.locale,
    _SUBSCRIBERS.c.attributes,
    _SUBSCRIPTIONS.c.source,
    _SUBSCRIPTIONS.c.created_at.label("joined_at"),
    _SUBSCRIPTIONS.c.confirmed_at,
    _SUBSCRIPTIONS.c.unsubscribed_at,
    _SUBSCRIPTIONS.c.paused_until,
)
_END = Query(select(_JOURNAL.c.seq))


def _since() -> Select[Any]:
    number = BigInteger()
    return (
        select(_EVENTS.c.seq, _EVENTS.c.at, _EVENTS.c.kind, _EVENTS.c.subscription_id, _EVENTS.c.after, *HELD)
        .select_from(_EVENTS)
        .outerjoin(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _EVENTS.c.subscription_id)
        .outerjoin(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
        .where(
            _EVENTS.c.list_id == bindparam("list_id"),
            _EVENTS.c.seq > bindparam("since", type_=number),
            _EVENTS.c.seq <= bindparam("end", type_=number),
        )
        .order_by(_EVENTS.c.seq)
        .limit(bindparam("most", type_=Integer))
    )


_SINCE = Query(_since())
