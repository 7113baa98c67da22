"""Unsubscribing: at once, as often as asked, by people and by mail systems (checklist U6, U9, U12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import Event, move
from newsletter.services import evidence, outbox, subscriptions
from newsletter.services.evidence import Seen
from newsletter.services.subscriptions import Found
from newsletter.settings import Settings


@dataclass(frozen=True)
class Leave:
    """Somebody, or their mail system, asks to end a subscription: now, or `at` a moment that is past."""

    subscription_id: UUID
    seen: Seen
    at: datetime | None = None


def unsubscribe(
    session: Session,
    settings: Settings,  # noqa: ARG001
    now: datetime,
    leaves: Sequence[Leave],
) -> list[Found | None]:
    """End subscriptions; returns each as it was found, None where the subscriber was erased.

    Mail that is still waiting for them is cancelled. The first time of leaving is kept.
    """
    found = subscriptions.lock(session, {leave.subscription_id for leave in leaves})
    states = {identifier: subscription.state for identifier, subscription in found.items()}
    changed: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for leave in leaves:
        subscription = found.get(leave.subscription_id)
        before = states.get(leave.subscription_id)
        if subscription is None or before is None:
            continue
        states[leave.subscription_id] = after = move(before, Event.UNSUBSCRIBE)
        if after is not before:
            at = leave.at or now
            changed.append(
                {"subscription": leave.subscription_id, "state": after.value, "unsubscribed_at": at}
            )
            events.append(
                evidence.event_row(
                    subscription.list.id, subscription.id, Event.UNSUBSCRIBE, at, leave.seen,
                    before=before, after=after,
                )
            )  # fmt: skip
    evidence.change(session, changed)
    outbox.cancel_for(session, [row["subscription"] for row in changed])
    evidence.record(session, events)
    return [found.get(leave.subscription_id) for leave in leaves]
