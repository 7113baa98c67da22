"""Unsubscribing: at once, as often as asked, by people and by mail systems (checklist U6, U9, U12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import Event, State, move
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.services import evidence, lists, outbox
from newsletter.services.evidence import Seen
from newsletter.services.lists import ListView
from newsletter.settings import Settings


@dataclass(frozen=True)
class Leave:
    """Somebody, or their mail system, asks to end a subscription."""

    subscription_id: UUID
    seen: Seen


@dataclass(frozen=True)
class Leaving:
    """A subscription that can be ended, with what its page shows."""

    list: ListView
    address: str


def look_up(session: Session, subscription_id: UUID) -> Leaving | None:
    """What the unsubscribe page shows; None where the subscriber was erased."""
    row = (
        session.execute(
            select(Subscriber.address, *lists.COLUMNS)
            .select_from(Subscription)
            .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
            .join(MailingList, MailingList.id == Subscription.list_id)
            .where(Subscription.id == subscription_id)
        )
        .mappings()
        .first()
    )
    return Leaving(lists.view(row), row[Subscriber.address]) if row is not None else None


def unsubscribe(
    session: Session,
    settings: Settings,
    now: datetime,
    leaves: Sequence[Leave],  # noqa: ARG001
) -> list[ListView | None]:
    """End subscriptions; returns each one's list, None where the subscriber was erased.

    Mail that is still waiting for them is cancelled. The first time of leaving is kept.
    """
    rows = {
        row[Subscription.id]: row
        for row in session.execute(
            select(Subscription.id, Subscription.state, *lists.COLUMNS)
            .join(MailingList, MailingList.id == Subscription.list_id)
            .where(Subscription.id.in_({leave.subscription_id for leave in leaves}))
            .order_by(Subscription.id)
            .with_for_update(of=Subscription)
        ).mappings()
    }
    states = {identifier: State(row[Subscription.state]) for identifier, row in rows.items()}
    events = []
    changed = set()
    for leave in leaves:
        before = states.get(leave.subscription_id)
        if before is None:
            continue
        after = states[leave.subscription_id] = move(before, Event.UNSUBSCRIBE)
        if after is not before:
            changed.add(leave.subscription_id)
            events.append(evidence.event_row(leave.subscription_id, Event.UNSUBSCRIBE, now, leave.seen))
    evidence.change(
        session,
        ({"subscription": key, "state": states[key].value, "unsubscribed_at": now} for key in changed),
    )
    if changed:
        outbox.cancel_for(session, changed)
    evidence.record(session, events)
    return [
        lists.view(rows[leave.subscription_id]) if leave.subscription_id in rows else None for leave in leaves
    ]
