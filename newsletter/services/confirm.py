"""Confirming a sign-up: the pressed button in the confirmation page (checklist D5, D6, D7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import Event, State, move
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.services import evidence, lists
from newsletter.services.evidence import Seen
from newsletter.services.lists import ListView
from newsletter.settings import Settings


class Answer(Enum):
    """What became of a confirmation."""

    CONFIRMED = "confirmed"  # now, or before: confirming twice is fine
    SUPERSEDED = "superseded"  # the link is older than an unsubscribe or a newer sign-up
    GONE = "gone"  # the sign-up was purged or erased


@dataclass(frozen=True)
class Press:
    """Somebody pressed the button for sign-up number `generation` of a subscription."""

    subscription_id: UUID
    generation: int
    seen: Seen


@dataclass(frozen=True)
class Confirmed:
    """The answer, with what its page shows."""

    answer: Answer
    list: ListView | None = None
    address: str | None = None


def confirm(session: Session, settings: Settings, now: datetime, presses: Sequence[Press]) -> list[Confirmed]:  # noqa: ARG001
    """Apply presses in their order."""
    rows = {
        row[Subscription.id]: row
        for row in session.execute(
            select(
                Subscription.id,
                Subscription.state,
                Subscription.generation,
                Subscriber.address,
                *lists.COLUMNS,
            )
            .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
            .join(MailingList, MailingList.id == Subscription.list_id)
            .where(Subscription.id.in_({press.subscription_id for press in presses}))
            .order_by(Subscription.id)
            .with_for_update(of=Subscription)
        ).mappings()
    }
    states = {identifier: State(row[Subscription.state]) for identifier, row in rows.items()}
    answers: list[Confirmed] = []
    events = []
    changed = set()
    for press in presses:
        row = rows.get(press.subscription_id)
        if row is None:
            answers.append(Confirmed(Answer.GONE))
            continue
        before = states[press.subscription_id]
        current = row[Subscription.generation] == press.generation
        if not current or before not in (State.PENDING, State.CONFIRMED):
            answers.append(Confirmed(Answer.SUPERSEDED, lists.view(row)))
            continue
        states[press.subscription_id] = move(before, Event.CONFIRM)
        if before is not State.CONFIRMED:
            changed.add(press.subscription_id)
            events.append(evidence.event_row(press.subscription_id, Event.CONFIRM, now, press.seen))
        answers.append(Confirmed(Answer.CONFIRMED, lists.view(row), row[Subscriber.address]))
    evidence.change(
        session, ({"subscription": key, "state": states[key].value, "confirmed_at": now} for key in changed)
    )
    evidence.record(session, events)
    return answers
