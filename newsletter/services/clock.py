"""What a clock that was ahead has left behind: moments that have not come, for which work would wait, limits
would count and alarms would stand until they do. They are brought back to now.

Links and form tokens from the future count as fresh ones (newsletter.domain), and the journal goes by
numbers: neither waits for the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, delete, false, not_, or_, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of, write_transaction
from newsletter.domain.retry import LONGEST_DELAY
from newsletter.domain.webhooks import LONGEST_WAIT
from newsletter.models import Alarm, Import, LimitCount, OutboxMessage, WebhookDelivery
from newsletter.models.outbox import Status
from newsletter.services import outbox

# By which the clocks of machines may differ without anybody having set one.
TOLERANCE = timedelta(minutes=5)
_LARGEST_LEASE = timedelta(hours=1)  # of a lease as the settings allow it
_AT_ONCE = 1000


def bring_back(session: Session, now: datetime) -> int:
    """Correct what lies in the future, each table in transactions of its own; returns how many rows."""
    corrected = 0
    for kind in (_MAIL, _WEBHOOKS):
        while rows := session.execute(_from_the_future(kind, now)).all():
            with write_transaction(session):
                for row in rows:
                    shifted = update(kind.table).values(_shifted(kind, row, now))
                    session.execute(shifted.where(kind.table.c.id == row.id))
            corrected += len(rows)
    wrong = [
        (update(_IMPORTS).values(lease_until=now), _IMPORTS.c.lease_until > now + _LARGEST_LEASE),
        (delete(_COUNTS), _COUNTS.c.starts_at > now + TOLERANCE),
        (update(_ALARMS).values(last_at=now), _ALARMS.c.last_at > now + TOLERANCE),
    ]
    for statement, is_wrong in wrong:
        if session.execute(select(text("1")).select_from(statement.table).where(is_wrong).limit(1)).first():
            with write_transaction(session):
                corrected += session.execute(statement.where(is_wrong)).rowcount  # type: ignore[attr-defined]
    session.rollback()
    return corrected


@dataclass(frozen=True)
class _Sendings:
    """A table of what is sent and tried again: the column that says when it was, the longest wait, and which
    rows may be of a moment to come, because they are sent so many an hour."""

    table: Table
    sent_at: Column[Any]
    longest_wait: timedelta
    is_paced: ColumnElement[bool]


def _from_the_future(kind: _Sendings, now: datetime) -> Any:
    """Rows that were made or sent in the future, and those that are tried again later than anything is."""
    columns = kind.table.c
    is_late = or_(
        and_(
            columns.status == Status.INFLIGHT.value,
            columns.next_attempt_at > now + _LARGEST_LEASE + TOLERANCE,
        ),
        and_(
            columns.status == Status.AWAITING_RETRY.value,
            columns.next_attempt_at > now + kind.longest_wait + TOLERANCE,
        ),
    )
    is_to_come = or_(
        and_(columns.created_at > now + TOLERANCE, not_(kind.is_paced)), kind.sent_at > now + TOLERANCE
    )
    return (
        select(columns.id, columns.created_at, columns.next_attempt_at, kind.sent_at.label("sent_at"))
        .where(or_(is_to_come, is_late))
        .limit(_AT_ONCE)
    )


def _shifted(kind: _Sendings, row: Any, now: datetime) -> dict[str, datetime | None]:
    """Made now; due as long after that as it was, where it was put off, and else now."""
    ahead = row.created_at - now
    due = row.next_attempt_at - ahead if ahead > TOLERANCE else min(row.next_attempt_at, now)
    sent_at = min(row.sent_at, now) if row.sent_at is not None else None
    return {"created_at": min(row.created_at, now), "next_attempt_at": due, kind.sent_at.name: sent_at}


_OUTBOX, _DELIVERIES = table_of(OutboxMessage), table_of(WebhookDelivery)
_MAIL = _Sendings(_OUTBOX, _OUTBOX.c.sent_at, LONGEST_DELAY, outbox.is_ask_of_import())
_WEBHOOKS = _Sendings(_DELIVERIES, _DELIVERIES.c.delivered_at, LONGEST_WAIT * 1.2, false())
_IMPORTS, _COUNTS, _ALARMS = table_of(Import), table_of(LimitCount), table_of(Alarm)
