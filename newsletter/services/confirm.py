"""Confirming a sign-up: the pressed button in the confirmation page (checklist D5, D6, D7). It also ends a
suppression that its own person can end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import Event, State, move
from newsletter.models.outbox import Kind
from newsletter.services import evidence, outbox, subscriptions, suppress
from newsletter.services.evidence import Seen
from newsletter.services.subscriptions import Found
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
    """The answer, and the subscription as it was found; None where it is gone."""

    answer: Answer
    subscription: Found | None


def confirm(
    session: Session,
    settings: Settings,
    now: datetime,
    presses: Sequence[Press],
) -> list[Confirmed]:
    """Apply presses in their order. Who confirms now, and not before, is welcomed where the list does so."""
    found = subscriptions.lock(session, {press.subscription_id for press in presses})
    states = {identifier: subscription.state for identifier, subscription in found.items()}
    changed: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    welcomes: list[dict[str, Any]] = []
    answers: list[Confirmed] = []
    back: list[str] = []
    for press in presses:
        subscription = found.get(press.subscription_id)
        before = states.get(press.subscription_id)
        if subscription is None or before is None:
            answers.append(Confirmed(Answer.GONE, None))
            continue
        if subscription.generation != press.generation or before not in (State.PENDING, State.CONFIRMED):
            answers.append(Confirmed(Answer.SUPERSEDED, subscription))
            continue
        states[press.subscription_id] = after = move(before, Event.CONFIRM)
        if after is not before:
            # An earlier pause ended with what was paused.
            changed.append(
                {
                    "subscription": press.subscription_id,
                    "state": after.value,
                    "confirmed_at": now,
                    "paused_until": None,
                }
            )
            back.append(subscription.identity)
            events.append(
                evidence.event_row(
                    subscription.list.id, subscription.id, Event.CONFIRM, now, press.seen,
                    before=before, after=after,
                )
            )  # fmt: skip
            if subscription.list.welcome is not None:
                welcomes.append(
                    outbox.single_row(
                        subscription.id,
                        Kind.WELCOME,
                        now,
                        generation=subscription.generation,
                        sender_domain=subscription.list.sender_or(settings.mail_from).domain,
                    )
                )
        answers.append(Confirmed(Answer.CONFIRMED, subscription))
    evidence.change(session, changed)
    suppress.lift(session, settings, back)
    evidence.record(session, events)
    outbox.enqueue(session, welcomes)
    return answers
