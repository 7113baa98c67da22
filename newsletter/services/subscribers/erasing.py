"""Erasing a person: what was kept of them goes, with its evidence and its mails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.domain.suppressing import Reason
from newsletter.models import AddressChange, Subscriber, Subscription
from newsletter.services import audit, evidence, traces
from newsletter.services.access import Actor
from newsletter.services.subscribers.finding import SubscriberGone
from newsletter.services.suppress import suppress as never_mail
from newsletter.settings import Settings


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
    is one event for each subscription that tells nothing but that, and, where `suppress` asks for it, keyed
    hashes by which their addresses, the earlier ones too, are never mailed again. Raises `SubscriberGone` or
    `CannotSuppress`."""
    if suppress and actor.lists is not None:
        raise CannotSuppress
    whose = select(_SUBSCRIPTIONS.c.subscriber_id).where(_SUBSCRIPTIONS.c.id == subscription_id)
    subscriber_id = session.scalar(whose)
    if subscriber_id is None:
        raise SubscriberGone
    removed = _remove(session, settings, now, subscriber_id, actor.sees, way)
    if suppress:
        for identity in removed.identities:
            never_mail(session, settings, now, identity, reason=Reason.ERASED)
    for list_id, identifier, state in removed.held:
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
    return Erased(len(removed.held), removed.wholly)


def erase_oneself(
    session: Session, settings: Settings, now: datetime, subscriber_id: UUID, *, way: str
) -> None:
    """Remove a person who asks for it, from every list. Their address is kept from mail and from imports by a
    keyed hash, until they sign up and confirm again; for ever where they reported mail as spam. Raises
    `SubscriberGone`."""
    removed = _remove(session, settings, now, subscriber_id, lambda _: True, way)
    complained = any(state is State.COMPLAINED for _, _, state in removed.held)
    reason = Reason.COMPLAINT if complained else Reason.LEFT
    for identity in removed.identities:
        never_mail(session, settings, now, identity, reason=reason)


@dataclass(frozen=True)
class _Removed:
    """Who it was, by the addresses that were theirs; what went (each its list, its id, its state); and
    whether nothing is left of them."""

    identities: frozenset[str]
    held: list[tuple[UUID, UUID, State]]
    wholly: bool


@dataclass(frozen=True)
class _Address:
    """An address that stands in what is kept of a person. Where they have taken a change back, the new one
    was never theirs."""

    text: str
    is_theirs: bool


def _earlier_addresses(session: Session, subscriber_id: UUID) -> dict[str, _Address]:
    """The addresses that a person's changes of the last days have led to or from, and that are nobody's now,
    by their identities."""
    rows = session.execute(
        select(_CHANGES)
        .where(_CHANGES.c.subscriber_id == subscriber_id, _CHANGES.c.made_at.is_not(None))
        .order_by(_CHANGES.c.stopped_at.is_(None))  # an address that was theirs once is theirs
    ).all()
    had = {}
    for row in rows:
        is_theirs = row.stopped_at is None
        had[row.new_identity] = _Address(row.new_address, is_theirs)
        if is_theirs:
            had[row.old_identity] = _Address(row.old_address, is_theirs=True)
    taken = session.scalars(select(_SUBSCRIBERS.c.identity).where(_SUBSCRIBERS.c.identity.in_(had)))
    return {identity: had[identity] for identity in had.keys() - set(taken)}


def _remove(
    session: Session,
    settings: Settings,
    now: datetime,
    subscriber_id: UUID,
    sees: Callable[[UUID], bool],
    way: str,
) -> _Removed:
    """Remove the person from the lists that are seen."""
    person = session.execute(
        select(_SUBSCRIBERS.c.id, _SUBSCRIBERS.c.address, _SUBSCRIBERS.c.identity)
        .where(_SUBSCRIBERS.c.id == subscriber_id)
        .with_for_update()
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
        if sees(row.list_id)
    ]
    ids = [identifier for _, identifier, _ in held]
    addresses = {person.identity: _Address(person.address, is_theirs=True)}
    addresses |= _earlier_addresses(session, person.id)
    evidence.forget(session, now, held, way=way)
    # Their mails go with them.
    session.execute(delete(_SUBSCRIPTIONS).where(_SUBSCRIPTIONS.c.id.in_(ids)))
    gone = session.execute(
        delete(_SUBSCRIBERS)
        .where(_SUBSCRIBERS.c.id == person.id, ~exists().where(_SUBSCRIPTIONS.c.subscriber_id == person.id))
        .returning(_SUBSCRIBERS.c.id)
    ).all()
    if gone:
        for identity, address in addresses.items():
            traces.remove(session, settings, now, address.text, identity)
    theirs = frozenset(identity for identity, address in addresses.items() if address.is_theirs)
    return _Removed(theirs, held, wholly=bool(gone))


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
_CHANGES = table_of(AddressChange)
