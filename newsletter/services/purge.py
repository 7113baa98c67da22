"""Forgetting those who never confirmed (checklist D13)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import Event, State, move
from newsletter.domain.resending import MEMORY
from newsletter.models import OutboxMessage, Subscriber, Subscription
from newsletter.services import evidence, outbox
from newsletter.services.evidence import Seen
from newsletter.settings import Settings


def purge(session: Session, settings: Settings, now: datetime, *, limit: int = 500) -> int:
    """Remove up to `limit` sign-ups that were not confirmed in time; returns how many there were.

    With a subscription go its evidence and its mails, and with a person's last subscription the person.
    One that was mailed only lately, because the relay was away, is kept as long after that mail: its history
    is what bounds the next one. Who was confirmed once and asked again falls back to unsubscribed: that they
    left must be kept.
    """
    rows = session.execute(
        select(
            Subscription.id,
            Subscription.subscriber_id,
            Subscription.list_id,
            Subscription.confirmed_at,
            Subscription.unsubscribed_at,
        )
        .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
        .where(
            Subscription.state == State.PENDING.value,
            Subscription.asked_at < now - settings.pending_retention,
            ~exists().where(
                OutboxMessage.subscription_id == Subscription.id,
                now - min(settings.pending_retention, MEMORY) < outbox.MAILED_AT,
            ),
        )
        .order_by(Subscription.id)
        .limit(limit)
        # The person too: a sign-up that runs at this moment must not lose its subscriber.
        .with_for_update(of=[Subscription, Subscriber], skip_locked=True)
    ).all()
    lapsed = [row for row in rows if row.confirmed_at or row.unsubscribed_at]
    forgotten = [row for row in rows if not (row.confirmed_at or row.unsubscribed_at)]
    state = move(State.PENDING, Event.LAPSE)
    evidence.change(session, ({"subscription": row.id, "state": state.value} for row in lapsed))
    evidence.record(
        session,
        [
            evidence.event_row(
                row.list_id, row.id, Event.LAPSE, now, Seen("purge"), before=State.PENDING, after=state
            )
            for row in lapsed
        ],
    )
    if lapsed:
        outbox.cancel_for(session, [row.id for row in lapsed])
    if forgotten:
        evidence.forget(
            session, now, [(row.list_id, row.id, State.PENDING) for row in forgotten], way="purge"
        )
        session.execute(
            delete(Subscription)
            .where(Subscription.id.in_([row.id for row in forgotten]))
            .execution_options(synchronize_session=False)
        )
        session.execute(
            delete(Subscriber)
            .where(
                Subscriber.id.in_([row.subscriber_id for row in forgotten]),
                ~exists().where(Subscription.subscriber_id == Subscriber.id),
            )
            .execution_options(synchronize_session=False)
        )
    return len(rows)
