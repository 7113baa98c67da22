"""The journal: consent events numbered in the order in which they were seen to be committed.

Transactions end in another order than they began, so a number that is drawn inside of one may appear after a
higher one; whoever reads "all above 7" would miss it. So the worker numbers what is committed, one worker at
a time, and a number is never below one that somebody has seen. The same step counts the events of each day,
and puts down what webhooks are to be told: sign-ups do not wait for either."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import BigInteger, Integer, bindparam, func, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, State
from newsletter.models import ConsentEvent, Journal, Tally
from newsletter.queries import Query, among, insert_or_add

# So many at once that a million takes half a minute, and no writer waits long: SQLite has one at a time.
_BATCHES = {"sqlite": 1000, "postgresql": 5000}

log = structlog.get_logger()


class Entry(NamedTuple):
    """One numbered event: a tuple, since a batch makes thousands."""

    seq: int
    list_id: UUID
    subscription_id: UUID
    kind: Event
    before: State | None
    after: State | None
    at: datetime
    way: str


def is_behind(session: Session) -> bool:
    """Whether there are events without a number: a look that locks nothing."""
    return bool(_ANY_FRESH.rows(session))


def number(session: Session, *, limit: int | None = None) -> list[Entry]:
    """Number up to `limit` events and count them; returns them in their order. Nothing where another worker
    is at it."""
    limit = limit or _BATCHES[session.get_bind().dialect.name]
    held = session.execute(select(_JOURNAL.c.seq).with_for_update(skip_locked=True)).scalar()
    if held is None:
        return []
    rows = _FRESH.rows(session, most=limit)
    if not rows:
        return []
    _NUMBER.run(session, [{"held": held, "ids": [row.id for row in rows]}])
    entries = [
        entry for place, row in enumerate(rows, start=1) if (entry := _entry(held + place, row)) is not None
    ]
    session.execute(update(_JOURNAL).values(seq=held + len(rows)))
    _count(session, entries)
    return entries


def _entry(seq: int, row: Any) -> Entry | None:
    """None for what no version of this service stores: it gets its number, so that `verify-ledger` names it,
    and stops nobody else's."""
    try:
        kind = Event(row.kind)
        before, after = (State(state) if state else None for state in (row.before, row.after))
    except ValueError:
        log.error("journal_unknown_event", id=row.id)
        return None
    return Entry(seq, row.list_id, row.subscription_id, kind, before, after, row.at, row.way)


def _count(session: Session, entries: list[Entry]) -> None:
    days = Counter(
        (entry.list_id, entry.at.astimezone(UTC).date().isoformat(), entry.kind, entry.before, entry.after)
        for entry in entries
    )
    _TALLY.run(
        session,
        [
            {
                "list_id": list_id,
                "day": day,
                "kind": kind.value,
                "before": before.value if before else "",
                "after": after.value if after else "",
                "number": times,
            }
            for (list_id, day, kind, before, after), times in sorted(
                days.items(), key=lambda pair: tuple(str(part) for part in pair[0])
            )
        ],
    )


_EVENTS, _JOURNAL, _TALLIES = table_of(ConsentEvent), table_of(Journal), table_of(Tally)
_IS_FRESH = text("seq IS NULL")
_ANY_FRESH = Query(select(_EVENTS.c.id).where(_IS_FRESH).limit(1))
# Locked, so that none is numbered that is just being removed with its person (newsletter.services.evidence).
_FRESH = Query(
    select(
        _EVENTS.c.id,
        _EVENTS.c.list_id,
        _EVENTS.c.subscription_id,
        _EVENTS.c.kind,
        _EVENTS.c.before,
        _EVENTS.c.after,
        _EVENTS.c.at,
        _EVENTS.c.way,
    )
    .where(_IS_FRESH)
    .order_by(_EVENTS.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)
_PLACES = (
    select(_EVENTS.c.id, func.row_number().over(order_by=_EVENTS.c.id).label("place"))
    .where(among(_EVENTS.c.id, "ids"))
    .subquery("places")
)
_NUMBER = Query(
    update(_EVENTS)
    .where(_EVENTS.c.id == _PLACES.c.id)
    .values(seq=bindparam("held", type_=BigInteger) + _PLACES.c.place)
)
_TALLY = Query(
    insert_or_add(_TALLIES, "number"), columns=("list_id", "day", "kind", "before", "after", "number")
)
