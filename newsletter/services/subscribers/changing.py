"""Changing what is kept of a subscriber, and ending their subscription, on a publisher's behalf."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain import languages
from newsletter.domain.addresses import Address
from newsletter.domain.lifecycle import Event, State, move
from newsletter.domain.profiles import ProfileError, check_attributes, parse_name
from newsletter.domain.searching import search_text
from newsletter.models import Subscriber, Subscription
from newsletter.services import audit, evidence
from newsletter.services.access import Actor
from newsletter.services.evidence import Seen
from newsletter.services.subscribers.finding import SubscriberGone
from newsletter.services.unsubscribe import Leave
from newsletter.services.unsubscribe import unsubscribe as leave
from newsletter.settings import Settings


@dataclass(frozen=True)
class Changes:
    """What a subscriber shall be from now on, on every list: an empty name is none. What is None here stays
    as it is. `spelling` is the address as they write it; where it is another's, it changes nothing."""

    name: str | None = None
    locale: str | None = None
    attributes: dict[str, Any] | None = None
    spelling: Address | None = None


def edit(
    session: Session, now: datetime, actor: Actor, seen: Seen, subscription_id: UUID, changes: Changes
) -> None:
    """Keep the changes, on a publisher's behalf. Raises `ProfileError` or `SubscriberGone`."""
    row = session.execute(
        select(_SUBSCRIPTIONS.c.subscriber_id, _SUBSCRIPTIONS.c.list_id).where(
            _SUBSCRIPTIONS.c.id == subscription_id
        )
    ).one_or_none()
    if row is None:
        raise SubscriberGone
    changed = edit_person(session, now, seen, row.subscriber_id, changes)
    if changed:
        audit.record(
            session,
            now,
            actor,
            "subscriber.edited",
            list_id=row.list_id,
            subject=str(subscription_id),
            fields=changed,
        )


def edit_person(
    session: Session, now: datetime, seen: Seen, subscriber_id: UUID, changes: Changes
) -> list[str]:
    """Keep the changes; returns which fields are others now: what is the same already leaves no trace. They
    are the person's on every list, so each list's journal tells of them. Raises `ProfileError` or
    `SubscriberGone`."""
    row = session.execute(
        select(_SUBSCRIBERS).where(_SUBSCRIBERS.c.id == subscriber_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise SubscriberGone
    kept = {"address": row.address, "name": row.name, "locale": row.locale, "attributes": row.attributes}
    wanted = kept | _checked(changes)
    if changes.spelling is not None and changes.spelling.identity == row.identity:
        wanted["address"] = changes.spelling.text
    changed = [field for field, value in wanted.items() if value != getattr(row, field)]
    if not changed:
        return []
    session.execute(
        update(_SUBSCRIBERS)
        .where(_SUBSCRIBERS.c.id == row.id)
        .values(**wanted, search=search_text(wanted["address"], wanted["name"]))
    )
    record_edit(session, now, seen, row.id)
    return changed


def record_edit(session: Session, now: datetime, seen: Seen, subscriber_id: UUID) -> None:
    """Tell each list of the person that something of theirs was changed."""
    subscriptions = session.execute(
        select(_SUBSCRIPTIONS.c.id, _SUBSCRIPTIONS.c.list_id, _SUBSCRIPTIONS.c.state)
        .where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id)
        .order_by(_SUBSCRIPTIONS.c.id)
        # Its state stands in the evidence.
        .with_for_update()
    )
    evidence.record(
        session,
        [
            evidence.event_row(
                held.list_id, held.id, Event.EDIT, now, seen,
                before=State(held.state), after=move(State(held.state), Event.EDIT),
            )
            for held in subscriptions
        ],
    )  # fmt: skip


def _checked(changes: Changes) -> dict[str, Any]:
    """The columns that are to be others."""
    checked: dict[str, Any] = {}
    if changes.name is not None:
        checked["name"] = parse_name(changes.name)
    if changes.locale is not None:
        checked["locale"] = languages.known(changes.locale)
        if checked["locale"] is None:
            raise ProfileError(f"the language must be one of {', '.join(languages.LANGUAGES)}")
    if changes.attributes is not None:
        checked["attributes"] = check_attributes(changes.attributes)
    return checked


def unsubscribe(
    session: Session, settings: Settings, now: datetime, actor: Actor, seen: Seen, subscription_id: UUID
) -> bool:
    """End the subscription, and cancel the mail that waits for it; returns whether it was not ended before.
    Raises `SubscriberGone`."""
    (found,) = leave(session, settings, now, [Leave(subscription_id, seen)])
    if found is None:
        raise SubscriberGone
    if move(found.state, Event.UNSUBSCRIBE) is found.state:
        return False
    audit.record(
        session,
        now,
        actor,
        "subscriber.unsubscribed",
        list_id=found.list.id,
        subject=str(subscription_id),
        before=found.state.value,
    )
    return True


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
