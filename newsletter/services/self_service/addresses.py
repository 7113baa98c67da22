"""A change of address: asked for on the page, confirmed by the new address, told to the old one.

Whatever is known of the new address, the same is stored and answered. What differs is only the mail that it
gets: none where it is suppressed, and one that says so where it is a subscriber of its own. Two people are
never made one: what each has agreed to is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.addresses import Address
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import Event, State
from newsletter.domain.links import UNDO_FOR
from newsletter.domain.resending import may_mail
from newsletter.domain.searching import search_text
from newsletter.domain.suppressing import Reason, is_liftable
from newsletter.models import AddressChange, MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import Kind
from newsletter.services import evidence, guard, lists, outbox, suppress, traces
from newsletter.services.counting import DatabaseStorage
from newsletter.services.ending import end_all
from newsletter.services.evidence import Seen
from newsletter.services.subscribers.changing import record_edit
from newsletter.settings import Settings


@dataclass(frozen=True)
class NewAddressRequest:
    """A person wants their mail at another address."""

    subscriber_id: UUID
    generation: int
    address: Address
    network: str | None


class Made(Enum):
    """What became of a change."""

    MADE = "made"  # now, or before
    STOPPED = "stopped"  # it was not made yet, and never will
    UNDONE = "undone"
    TAKEN = "taken"  # the address is a subscriber of its own
    GONE = "gone"  # stopped, too old, or overtaken by another


def request_change(
    session: Session, settings: Settings, now: datetime, requests: Sequence[NewAddressRequest]
) -> list[int | None]:
    """Remember the change, and queue a mail to each of the two addresses, within the bounds of D9. Returns
    for each request None, or the seconds that its network must wait: nothing was done then."""
    counts = DatabaseStorage(session, now)
    networks = [asked.network for asked in requests]
    waits = guard.wait(counts, settings.signup_limit, "new-address", now, networks)
    for asked, wait in zip(requests, waits, strict=True):
        if wait is None:
            _request(session, settings, now, asked)
    counts.save()
    return waits


def _request(session: Session, settings: Settings, now: datetime, asked: NewAddressRequest) -> None:
    person = _lock(session, asked.subscriber_id)
    if person is None or person.generation != asked.generation or person.identity == asked.address.identity:
        return
    held = _held(session, person.id)
    past = outbox.histories(session, [row.subscription_id for row in held], now, kinds=[Kind.ADDRESS_CHANGE])
    here = [moment for history in past.values() for moment in history.mailed]
    # By whomever: nobody is buried in these either.
    there = session.scalars(
        select(_CHANGES.c.requested_at).where(_CHANGES.c.new_identity == asked.address.identity)
    ).all()
    if not held or not all(may_mail(mailed, now=now, consented_at=None) for mailed in (here, there)):
        return
    change_id = new_id(now)
    _mark_stopped(session, now, _CHANGES.c.subscriber_id == person.id, _CHANGES.c.made_at.is_(None))
    session.execute(
        insert(_CHANGES),
        [
            {
                "id": change_id,
                "subscriber_id": person.id,
                "old_address": person.address,
                "old_identity": person.identity,
                "new_address": asked.address.text,
                "new_identity": asked.address.identity,
                "generation": person.generation,
                "requested_at": now,
            }
        ],
    )
    on_behalf_of = min(held, key=lambda row: (row.state != State.CONFIRMED, row.subscription_id))
    domain = lists.view(on_behalf_of).sender_or(settings.mail_from).domain
    outbox.enqueue(
        session,
        [
            outbox.message_row(
                on_behalf_of.subscription_id, kind, now, due=now, sender_domain=domain, change_id=change_id
            )
            for kind in (Kind.ADDRESS_NOTICE, Kind.ADDRESS_CHANGE)
        ],
    )


@dataclass(frozen=True)
class Change:
    """A change that is remembered, for the pages that its links lead to."""

    id: UUID
    old_address: str
    new_address: str
    locale: str
    is_made: bool
    is_stopped: bool  # or taken back
    told_at: datetime | None  # when the old address was sent its notice

    @property
    def is_open(self) -> bool:
        """Whether the new address can still make it, or stop it."""
        return not self.is_made and not self.is_stopped


def find_change(session: Session, change_id: UUID) -> Change | None:
    """The change with this id; None where it is forgotten."""
    row = session.execute(
        select(_CHANGES, _SUBSCRIBERS.c.locale, _TOLD_AT.label("told_at"))
        .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _CHANGES.c.subscriber_id)
        .where(_CHANGES.c.id == change_id)
    ).one_or_none()
    if row is None:
        return None
    return Change(
        row.id,
        row.old_address,
        row.new_address,
        row.locale,
        is_made=row.made_at is not None,
        is_stopped=row.stopped_at is not None,
        told_at=row.told_at,
    )


@dataclass(frozen=True)
class Press:
    """The pressed button of a change."""

    change_id: UUID
    seen: Seen


def make_change(session: Session, settings: Settings, now: datetime, presses: Sequence[Press]) -> list[Made]:
    """Give people their new addresses. All that was sent to the old one is dead from then on, save the links
    to unsubscribe and to undo this."""
    return [_make(session, settings, now, press) for press in presses]


def _make(session: Session, settings: Settings, now: datetime, press: Press) -> Made:
    change, person = _lock_both(session, press.change_id)
    if change is None or person is None:
        return Made.GONE
    if change.made_at is not None:
        return Made.MADE if person.identity == change.new_identity else Made.GONE
    if change.stopped_at is not None or change.generation != person.generation:
        return Made.GONE
    if suppress.which(session, settings, [change.new_identity]):
        return Made.GONE
    if _is_taken(session, person.id, change.new_identity):
        return Made.TAKEN
    session.execute(update(_CHANGES).where(_CHANGES.c.id == change.id).values(made_at=now))
    _move(session, settings, now, person, change.new_address, change.new_identity, press.seen)
    return Made.MADE


def stop_change(session: Session, settings: Settings, now: datetime, presses: Sequence[Press]) -> list[Made]:
    """The new address does not want it: stop a change that was not made yet."""
    return [_stop(session, settings, now, press, undo=False) for press in presses]


def undo_change(session: Session, settings: Settings, now: datetime, presses: Sequence[Press]) -> list[Made]:
    """The old address does not want it: stop the change, or take it back."""
    return [_stop(session, settings, now, press, undo=True) for press in presses]


def _stop(session: Session, settings: Settings, now: datetime, press: Press, *, undo: bool) -> Made:
    change, person = _lock_both(session, press.change_id)
    if change is None or person is None:
        return Made.GONE
    if change.stopped_at is not None:
        return Made.UNDONE if change.made_at is not None else Made.STOPPED
    if change.made_at is not None:
        if not undo:
            return Made.MADE
        if person.identity != change.old_identity:
            if _is_taken(session, person.id, change.old_identity):
                return Made.TAKEN
            _move(session, settings, now, person, change.old_address, change.old_identity, press.seen)
            _respect(session, settings, now, person.id, change.old_identity, press.seen)
    # With it go others that were asked for since: they are by the same hand.
    _mark_stopped(session, now, _CHANGES.c.subscriber_id == person.id, _CHANGES.c.id >= change.id)
    return Made.UNDONE if change.made_at is not None else Made.STOPPED


def _respect(
    session: Session, settings: Settings, now: datetime, subscriber_id: UUID, identity: str, seen: Seen
) -> None:
    """Of an address that was suppressed since it was left: pressing a button in it lifts what its owner may
    lift, and what they may not ends all that came back to it."""
    reason = suppress.reasons(session, settings, [identity]).get(identity)
    if reason is None:
        return
    if is_liftable(reason):
        suppress.lift(session, settings, [identity])
    else:
        event = Event.COMPLAIN if reason == Reason.COMPLAINT else Event.UNSUBSCRIBE
        end_all(session, now, subscriber_id, event, seen)


def _mark_stopped(session: Session, now: datetime, *which: ColumnElement[bool]) -> None:
    session.execute(update(_CHANGES).where(*which, _CHANGES.c.stopped_at.is_(None)).values(stopped_at=now))


def _move(
    session: Session,
    settings: Settings,
    now: datetime,
    person: Row[Any],
    address: str,
    identity: str,
    seen: Seen,
) -> None:
    session.execute(
        update(_SUBSCRIBERS)
        .where(_SUBSCRIBERS.c.id == person.id)
        .values(
            address=address,
            identity=identity,
            search=search_text(address, person.name),
            generation=_SUBSCRIBERS.c.generation + 1,
        )
    )
    record_edit(session, now, seen, person.id)
    held = _held(session, person.id)
    outbox.cancel_for(session, [row.subscription_id for row in held])
    # A confirmation link from before never confirms (D6).
    evidence.change(
        session,
        [{"subscription": row.subscription_id, "generation": row.generation + 1} for row in held],
    )
    outbox.enqueue(
        session,
        [
            outbox.message_row(
                row.subscription_id,
                Kind.CONFIRMATION,
                now,
                due=now,
                sender_domain=lists.view(row).sender_or(settings.mail_from).domain,
                generation=row.generation + 1,
            )
            for row in held
            if row.state == State.PENDING
        ],
    )


def forget_changes(session: Session, settings: Settings, now: datetime) -> None:
    """Forget changes that can neither be made nor undone any more, and with them the addresses that are
    nobody's now."""
    since = func.coalesce(_CHANGES.c.made_at, _CHANGES.c.requested_at)
    gone = session.execute(delete(_CHANGES).where(since < now - UNDO_FOR).returning(*_CHANGES.c)).all()
    for change in gone:
        if change.made_at is not None:
            for address, identity in (
                (change.old_address, change.old_identity),
                (change.new_address, change.new_identity),
            ):
                if not _is_somebodys(session, identity):
                    traces.remove(session, settings, now, address, identity)


def _lock(session: Session, subscriber_id: UUID) -> Row[Any] | None:
    person = select(_SUBSCRIBERS).where(_SUBSCRIBERS.c.id == subscriber_id).with_for_update()
    return session.execute(person).one_or_none()


def _lock_both(session: Session, change_id: UUID) -> tuple[Row[Any] | None, Row[Any] | None]:
    """The change and its person, the person locked first: all who change either hold the person."""
    whose = session.scalar(select(_CHANGES.c.subscriber_id).where(_CHANGES.c.id == change_id))
    person = _lock(session, whose) if whose is not None else None
    change = session.execute(select(_CHANGES).where(_CHANGES.c.id == change_id)).one_or_none()
    return change, person


def _is_somebodys(session: Session, identity: str) -> bool:
    """Whether anybody has this address now."""
    return (
        session.execute(select(_SUBSCRIBERS.c.id).where(_SUBSCRIBERS.c.identity == identity)).first()
        is not None
    )


def _is_taken(session: Session, subscriber_id: UUID, identity: str) -> bool:
    others = select(_SUBSCRIBERS.c.id).where(
        _SUBSCRIBERS.c.identity == identity, _SUBSCRIBERS.c.id != subscriber_id
    )
    return session.execute(others).first() is not None


def _held(session: Session, subscriber_id: UUID) -> Sequence[Row[Any]]:
    return session.execute(
        select(
            _SUBSCRIPTIONS.c.id.label("subscription_id"),
            _SUBSCRIPTIONS.c.state,
            _SUBSCRIPTIONS.c.generation,
            *lists.COLUMNS,
        )
        .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
        .where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id)
        .order_by(_SUBSCRIPTIONS.c.id)
        .with_for_update(of=_SUBSCRIPTIONS)
    ).all()


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
_CHANGES, _LISTS, _OUTBOX = table_of(AddressChange), table_of(MailingList), table_of(OutboxMessage)
_TOLD_AT = (
    select(func.max(_OUTBOX.c.sent_at))
    .where(_OUTBOX.c.change_id == _CHANGES.c.id, _OUTBOX.c.kind == Kind.ADDRESS_NOTICE.value)
    .scalar_subquery()
)
