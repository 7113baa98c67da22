"""The audit log: what was done on behalf of the publisher, in the same transaction as the deed (checklist
O6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import AuditEvent
from newsletter.services.access import Actor


@dataclass(frozen=True)
class Deed:
    """Something that was done."""

    id: int
    at: datetime
    actor: str
    action: str
    list_id: UUID | None
    subject: str | None
    details: dict[str, Any]
    network: str | None


def page(
    session: Session, *, list_id: UUID | None, action: str | None, before: int | None, limit: int
) -> Sequence[Deed]:
    """Deeds, the latest first: all, or those of a list or of a kind, that came `before` one."""
    events = table_of(AuditEvent)
    asked = select(
        events.c.id, events.c.at, events.c.actor, events.c.action, events.c.list_id, events.c.subject,
        events.c.details, events.c.network,
    )  # fmt: skip
    if list_id is not None:
        asked = asked.where(events.c.list_id == list_id)
    if action is not None:
        asked = asked.where(events.c.action == action)
    if before is not None:
        asked = asked.where(events.c.id < before)
    return [Deed(*row) for row in session.execute(asked.order_by(events.c.id.desc()).limit(limit))]


def record(
    session: Session,
    now: datetime,
    actor: Actor,
    action: str,
    *,
    list_id: UUID | None = None,
    subject: str | None = None,
    **details: Any,
) -> None:
    """Append what `actor` did: an `action` such as `list.edited`, and to what. No addresses of subscribers:
    the log cannot forget them. Their id says which."""
    session.execute(
        insert(table_of(AuditEvent)),
        [
            {
                "at": now,
                "actor": actor.name,
                "action": action,
                "list_id": list_id,
                "subject": subject,
                "details": details,
                "network": actor.network,
            }
        ],
    )
