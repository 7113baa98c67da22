"""Ending all that a person holds, for a reason that lies in their address."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, State, move
from newsletter.models import Subscription
from newsletter.services import evidence, outbox
from newsletter.services.evidence import Seen


def end_all(session: Session, now: datetime, subscriber_id: UUID, event: Event, seen: Seen) -> None:
    """Let an event happen to all subscriptions of a person, and cancel the mail that waits for them."""
    changed, events = [], []
    for held in session.execute(
        select(_SUBSCRIPTIONS.c.id, _SUBSCRIPTIONS.c.list_id, _SUBSCRIPTIONS.c.state)
        .where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id)
        .order_by(_SUBSCRIPTIONS.c.id)
        .with_for_update()
    ):
        before = State(held.state)
        after = move(before, event)
        if after is before:
            continue
        changed.append({"subscription": held.id, "state": after.value})
        events.append(evidence.event_row(held.list_id, held.id, event, now, seen, before=before, after=after))
    evidence.change(session, changed)
    outbox.cancel_for(session, [row["subscription"] for row in changed])
    evidence.record(session, events)


_SUBSCRIPTIONS = table_of(Subscription)
