"""Erasing a person: what was kept of them goes, with its evidence and its mails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.models import Subscriber, Subscription
from newsletter.services import audit, evidence, traces
from newsletter.services.access import Actor
from newsletter.services.subscribers.finding import SubscriberGone
from newsletter.services.suppress import suppress as never_mail
from newsletter.settings import Settings

REASON = "erased"  # of a suppression


class CannotSuppress(Exception):
    """An address is kept from the mail of every list, so only who sees every list may do that."""

    def __init__(self) -> None:
        super().__init__("only somebody who sees every list can keep an address from all mail")


@dataclass(frozen=True)
class Erased:
    """What went: so many subscriptions, and whether nothing is left of the person."""

    subscriptions: int
    wholly: bool


def erase(
    session: Session,
    settings: Settings,
    now: datetime,
    actor: Actor,
    subscription_id: UUID,
    *,
    way: str,
    suppress: bool = False,
) -> Erased:
    """Remove the person from every list that the actor sees, and wholly where no other is left. What stays
    is one event for each subscription that tells nothing but that, and, where `suppress` asks for it, a keyed
    hash by which the address is never mailed again. Raises `SubscriberGone` or `CannotSuppress`."""
    if suppress and actor.lists is not None:
        raise CannotSuppress
    person = session.execute(
        select(_SUBSCRIBERS.c.id, _SUBSCRIBERS.c.address, _SUBSCRIBERS.c.identity)
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.subscriber_id == _SUBSCRIBERS.c.id)
        .where(_SUBSCRIPTIONS.c.id == subscription_id)
        .with_for_update(of=_SUBSCRIBERS)
    ).one_or_none()
    if person is None:
        raise SubscriberGone
    held = [
        (row.list_id, row.id, State(row.state))
        for row in session.execute(
            select(_SUBSCRIPTIONS.c.id, _SUBSCRIPTIONS.c.list_id, _SUBSCRIPTIONS.c.state)
            .where(_SUBSCRIPTIONS.c.subscriber_id == person.id)
            .order_by(_SUBSCRIPTIONS.c.id)
            .with_for_update()
        )
        if actor.sees(row.list_id)
    ]
    ids = [identifier for _, identifier, _ in held]
    evidence.forget(session, now, held, way=way)
    # Their mails go with them.
    session.execute(delete(_SUBSCRIPTIONS).where(_SUBSCRIPTIONS.c.id.in_(ids)))
    gone = session.execute(
        delete(_SUBSCRIBERS)
        .where(_SUBSCRIBERS.c.id == person.id, ~exists().where(_SUBSCRIPTIONS.c.subscriber_id == person.id))
        .returning(_SUBSCRIBERS.c.id)
    ).all()
    if gone:
        traces.remove(session, person.address)
    if suppress:
        never_mail(session, settings, now, person.identity, reason=REASON)
    for list_id, identifier, state in held:
        audit.record(
            session,
            now,
            actor,
            "subscriber.erased",
            list_id=list_id,
            subject=str(identifier),
            before=state.value,
            suppressed=suppress,
        )
    return Erased(len(held), bool(gone))


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
