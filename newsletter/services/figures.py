"""How it stands with what waits: figures for those who watch the service.

They are read whenever somebody asks, so each looks at so many rows and no more, however much waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import FromClause, Subquery, func, select, text
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import ConsentEvent, OutboxMessage, WebhookDelivery
from newsletter.models.outbox import IS_FAILED, IS_OPEN, Lane
from newsletter.models.webhook import IS_DUE

_MOST = 100_000  # rows that are counted: what is more is as many for whoever is woken by it
_FIRST = 1_000  # rows among which the oldest is looked for, the next due first
_PATIENCE = 2_000  # milliseconds that PostgreSQL gives one statement


@dataclass(frozen=True)
class Waiting:
    """How much waits, and for how long the oldest of it has."""

    number: int
    oldest_seconds: float


@dataclass(frozen=True)
class Figures:
    """What waits at one moment; of the outbox also by its lanes."""

    outbox: Waiting
    lanes: dict[Lane, Waiting]
    failed: int
    journal: Waiting
    webhooks: Waiting


def look(session: Session, now: datetime) -> Figures:
    """What waits now."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SET LOCAL statement_timeout = {_PATIENCE}"))
    lanes = {lane: _waiting(session, now, _open(lane), _oldest_open(lane)) for lane in Lane}
    return Figures(
        outbox=Waiting(
            min(_MOST, sum(lane.number for lane in lanes.values())),
            max(lane.oldest_seconds for lane in lanes.values()),
        ),
        lanes=lanes,
        failed=_number(session, _FAILED),
        journal=_waiting(session, now, _FRESH, _OLDEST_FRESH),
        webhooks=_waiting(session, now, _UNTOLD, _OLDEST_UNTOLD),
    )


def _waiting(session: Session, now: datetime, all_of_them: Subquery, first: Subquery) -> Waiting:
    oldest = session.execute(select(func.min(first.c.since))).scalar()
    # What an import puts off is made when it is due.
    seconds = (now - oldest).total_seconds() if isinstance(oldest, datetime) else 0.0
    return Waiting(_number(session, all_of_them), max(0.0, seconds))


def _open(lane: Lane) -> Subquery:
    return select(_OUTBOX.c.id).where(text(IS_OPEN), _OUTBOX.c.lane == lane.value).limit(_MOST).subquery()


def _oldest_open(lane: Lane) -> Subquery:
    return (
        select(_OUTBOX.c.created_at.label("since"))
        .where(text(IS_OPEN), _OUTBOX.c.lane == lane.value)
        .order_by(_OUTBOX.c.next_attempt_at)
        .limit(_FIRST)
        .subquery()
    )


def _number(session: Session, rows: FromClause) -> int:
    return session.execute(select(func.count()).select_from(rows)).scalar_one()


_OUTBOX, _EVENTS = table_of(OutboxMessage), table_of(ConsentEvent)
_DELIVERIES = table_of(WebhookDelivery)
_FAILED = select(_OUTBOX.c.id).where(text(IS_FAILED)).limit(_MOST).subquery()
_IS_FRESH = text("seq IS NULL")
_FRESH = select(_EVENTS.c.id).where(_IS_FRESH).limit(_MOST).subquery()
_OLDEST_FRESH = (
    select(_EVENTS.c.at.label("since")).where(_IS_FRESH).order_by(_EVENTS.c.id).limit(_FIRST).subquery()
)
_UNTOLD = select(_DELIVERIES.c.id).where(text(IS_DUE)).limit(_MOST).subquery()
_OLDEST_UNTOLD = select(_DELIVERIES.c.created_at.label("since")).where(text(IS_DUE)).limit(_FIRST).subquery()
