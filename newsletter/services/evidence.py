"""Storing a move: the subscription's new columns, and the evidence of who did what, when and from where.

Evidence is kept with every change of a subscription (checklist D11).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, State
from newsletter.models import ConsentEvent, Subscription
from newsletter.queries import Query
from newsletter.services import ledger


@dataclass(frozen=True)
class Seen:
    """By which way somebody acted, on which site and page, from which network, with which program."""

    way: str
    origin: str | None = None
    page: str | None = None
    network: str | None = None
    agent: str | None = None


def event_row(
    list_id: UUID,
    subscription_id: UUID,
    kind: Event,
    now: datetime,
    seen: Seen,
    *,
    before: State | None,
    after: State | None,
    wording: str | None = None,
    message_id: str | None = None,
) -> dict[str, Any]:
    """One consent event, ready for `record`. `wording` is the digest of the words that were shown."""
    return {
        "list_id": list_id,
        "subscription_id": subscription_id,
        "kind": kind.value,
        "before": before.value if before is not None else None,
        "after": after.value if after is not None else None,
        "at": now,
        "way": seen.way,
        "wording": wording,
        "origin": seen.origin,
        "page": seen.page,
        "network": seen.network,
        "agent": seen.agent,
        "message_id": message_id,
    }


def record(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Append consent events."""
    _RECORD.run(session, rows)


def forget(
    session: Session, now: datetime, subscriptions: Sequence[tuple[UUID, UUID, State]], *, way: str
) -> None:
    """Remove the evidence of subscriptions (each its list, its id, its state) that are removed, too. What
    stays is one event that tells nothing but that, for whoever follows the journal."""
    ours = _EVENTS.c.subscription_id.in_([identifier for _, identifier, _ in subscriptions])
    rows = session.connection().execute(
        select(_EVENTS.c.subscription_id, _EVENTS.c.seq, _EVENTS.c.before)
        .where(ours)
        .order_by(_EVENTS.c.id)
        .with_for_update()
    )
    # As far as the journal has counted: what it has not numbered yet, it never will.
    counted: dict[UUID, State | None] = {}
    for identifier, seq, before in rows:
        if seq is None:
            counted.setdefault(identifier, State(before) if before else None)
    gone = session.connection().execute(
        delete(_EVENTS).where(ours).returning(_EVENTS.c.list_id, _EVENTS.c.seq)
    )
    ledger.forget(session, [(list_id, seq) for list_id, seq in gone if seq is not None])
    record(
        session,
        [
            event_row(
                list_id,
                identifier,
                Event.FORGET,
                now,
                Seen(way),
                before=counted.get(identifier, state),
                after=None,
            )
            for list_id, identifier, state in subscriptions
        ],
    )


def change(session: Session, rows: Iterable[dict[str, Any]]) -> None:
    """Store new columns of subscriptions, each row's own `subscription` naming which. All rows have the
    same columns. Written in order of id, so that two batches cannot wait for each other."""
    ordered = sorted(rows, key=lambda row: row["subscription"])
    if ordered:
        _change(tuple(sorted(ordered[0].keys() - {"subscription"}))).run(session, ordered)


@cache
def _change(columns: tuple[str, ...]) -> Query:
    return Query(
        _SUBSCRIPTIONS.update().where(_SUBSCRIPTIONS.c.id == bindparam("subscription")), columns=columns
    )


_SUBSCRIPTIONS, _EVENTS = table_of(Subscription), table_of(ConsentEvent)
_RECORD = Query(
    insert(_EVENTS),
    columns=(
        "list_id", "subscription_id", "kind", "before", "after", "at", "way", "wording", "origin", "page",
        "network", "agent", "message_id",
    ),
)  # fmt: skip
