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

from sqlalchemy import bindparam, insert
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event
from newsletter.models import ConsentEvent, Subscription
from newsletter.queries import Query


@dataclass(frozen=True)
class Seen:
    """By which way somebody acted, on which site and page, from which network, with which program."""

    way: str
    origin: str | None = None
    page: str | None = None
    network: str | None = None
    agent: str | None = None


def event_row(
    subscription_id: UUID,
    kind: Event,
    now: datetime,
    seen: Seen,
    *,
    wording: str | None = None,
    message_id: str | None = None,
) -> dict[str, Any]:
    """One consent event, ready for `record`. `wording` is the digest of the words that were shown."""
    return {
        "subscription_id": subscription_id,
        "kind": kind.value,
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


_SUBSCRIPTIONS = table_of(Subscription)
_RECORD = Query(
    insert(table_of(ConsentEvent)),
    columns=(
        "subscription_id", "kind", "at", "way", "wording", "origin", "page", "network", "agent", "message_id",
    ),
)  # fmt: skip
