"""Putting mail into the outbox, and taking it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from newsletter.domain.ids import new_id
from newsletter.domain.resending import MEMORY
from newsletter.models import OutboxMessage
from newsletter.models.outbox import OPEN, Kind, Status


@dataclass
class History:
    """The mails of one subscription that count against its budgets: when each was sent (or made,
    where it has not been sent), and whether one is still waiting to be sent."""

    mailed: list[datetime] = field(default_factory=list)
    waiting: bool = False


def histories(
    session: Session, subscription_ids: Collection[UUID], now: datetime, *, kinds: Sequence[Kind]
) -> dict[UUID, History]:
    """The history of each subscription, for mails of `kinds`; cancelled ones were never sent."""
    found: dict[UUID, History] = defaultdict(History)
    rows = session.execute(
        select(
            OutboxMessage.subscription_id,
            OutboxMessage.status,
            func.coalesce(OutboxMessage.sent_at, OutboxMessage.created_at),
        ).where(
            OutboxMessage.subscription_id.in_(subscription_ids),
            OutboxMessage.created_at > now - MEMORY,
            OutboxMessage.kind.in_([kind.value for kind in kinds]),
            OutboxMessage.status != Status.CANCELLED.value,
        )
    )
    for subscription_id, status, mailed_at in rows:
        found[subscription_id].mailed.append(mailed_at)
        found[subscription_id].waiting |= status in OPEN
    return found


def message_row(
    subscription_id: UUID, kind: Kind, now: datetime, *, due: datetime, sender_domain: str, occasion: str
) -> dict[str, Any]:
    """One message for `enqueue`. `occasion` tells this mail's reason from an earlier mail's of its kind."""
    identifier = new_id(now)
    return {
        "id": identifier,
        "subscription_id": subscription_id,
        "kind": kind.value,
        "status": Status.QUEUED.value,
        "attempts": 0,
        "next_attempt_at": due,
        "message_id": f"<{identifier}@{sender_domain}>",
        "idempotency_key": f"{kind}:{subscription_id}:{occasion}",
        "created_at": now,
    }


def enqueue(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Put messages into the outbox, in the transaction of the change that caused them."""
    if rows:
        session.execute(insert(OutboxMessage.__table__), list(rows))


def cancel_for(session: Session, subscription_ids: Iterable[UUID]) -> None:
    """Take back what has not reached the relay's DATA yet (checklist U12)."""
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.subscription_id.in_(list(subscription_ids)),
            OutboxMessage.status.in_([status.value for status in OPEN]),
        )
        .values(status=Status.CANCELLED.value)
        .execution_options(synchronize_session=False)
    )
