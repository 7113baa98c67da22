"""Pausing: a subscription stays confirmed, and wants no mail until a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, State, move
from newsletter.models import Subscription
from newsletter.services import evidence
from newsletter.services.evidence import Seen
from newsletter.settings import Settings


@dataclass(frozen=True)
class Pause:
    """A person wants no mail of one of their subscriptions `until` a moment; None ends a pause."""

    subscriber_id: UUID
    subscription_id: UUID
    until: datetime | None
    seen: Seen


def pause(session: Session, settings: Settings, now: datetime, pauses: Sequence[Pause]) -> list[bool]:  # noqa: ARG001
    """Begin or end pauses; returns for each whether the subscription is theirs and confirmed."""
    return [_pause(session, now, wanted) for wanted in pauses]


def _pause(session: Session, now: datetime, wanted: Pause) -> bool:
    row = session.execute(
        select(_SUBSCRIPTIONS.c.list_id, _SUBSCRIPTIONS.c.state, _SUBSCRIPTIONS.c.paused_until)
        .where(
            _SUBSCRIPTIONS.c.id == wanted.subscription_id,
            _SUBSCRIPTIONS.c.subscriber_id == wanted.subscriber_id,
            _SUBSCRIPTIONS.c.state == State.CONFIRMED.value,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    if row.paused_until == wanted.until:
        return True
    evidence.change(session, [{"subscription": wanted.subscription_id, "paused_until": wanted.until}])
    state = State(row.state)
    evidence.record(
        session,
        [
            evidence.event_row(
                row.list_id, wanted.subscription_id, Event.EDIT, now, wanted.seen,
                before=state, after=move(state, Event.EDIT),
            )
        ],
    )  # fmt: skip
    return True


_SUBSCRIPTIONS = table_of(Subscription)
