"""The worker's side of the outbox: claim what is due. What becomes of it is in `attempts`.

A claim is a lease: `next_attempt_at` is pushed to the lease's end, so that a dead worker's mail comes
due again by itself. On PostgreSQL the ids are picked with SKIP LOCKED first and updated after: in one
statement, PostgreSQL may run the inner select again and exceed the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Row, bindparam, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain import suppressing
from newsletter.domain.lifecycle import State
from newsletter.domain.suppressing import digest_of
from newsletter.models import AddressChange, MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import ABOUT_ADDRESSES, IS_OPEN, Kind, Lane, Status
from newsletter.queries import Query, among
from newsletter.services import alarms, lists, suppress
from newsletter.services.lists import ListView
from newsletter.settings import Settings

# In which states of its subscription a mail still has its reason.
_REASONS = {
    Kind.CONFIRMATION: {State.PENDING},
    Kind.ALREADY_SUBSCRIBED: {State.CONFIRMED},
    Kind.LINKS: set(State) - {State.COMPLAINED},
    Kind.REMINDER: {State.PENDING},
    Kind.WELCOME: {State.CONFIRMED},
    Kind.ADDRESS_CHANGE: set(State),
    Kind.ADDRESS_NOTICE: set(State),
}


@dataclass(frozen=True)
class Held:
    """One subscription of the person that a mail goes to."""

    subscription_id: UUID
    list_name: str
    state: State


@dataclass(frozen=True)
class Claimed:
    """A message in a worker's hands, with all that it is made of. `address` is where it goes. Of a mail about
    a change of address, `change_id` says which, and `is_taken` whether somebody else has the new one."""

    id: UUID
    lease_id: UUID
    kind: Kind
    lane: Lane
    message_id: str
    attempts: int
    created_at: datetime
    address: str
    locale: str
    subscription_id: UUID
    generation: int
    subscriber_id: UUID
    person_generation: int
    paused_until: datetime | None
    change_id: UUID | None
    other_address: str | None
    is_taken: bool
    list: ListView
    held: tuple[Held, ...]

    @property
    def domain(self) -> str:
        """Where it goes, as far as it matters for how fast that takes mail."""
        return _domain(self.address)


@dataclass(frozen=True)
class Claims:
    """What a worker takes at once, and the lanes in which more may be due."""

    messages: list[Claimed]
    more: frozenset[Lane]


def _no_wait(_domain: str) -> timedelta | None:
    return None


def claim(
    session: Session,
    settings: Settings,
    now: datetime,
    *,
    lease_id: UUID,
    limits: Mapping[Lane, int],
    wait: Callable[[str], timedelta | None] = _no_wait,
) -> Claims:
    """Take messages that are due, of each lane up to its limit. State and suppression are read again here
    (S7): a message whose reason is gone is cancelled and not returned. `wait` tells for a domain whether it
    can take one message more now (None), or for how long that is put off."""
    due = {
        lane: [row.id for row in _DUE.rows(session, lane=lane.value, now=now, most=most)]
        for lane, most in limits.items()
        if most > 0
    }
    more = frozenset(lane for lane, found in due.items() if len(found) == limits[lane])
    ids = [identifier for found in due.values() for identifier in found]
    if not ids:
        return Claims([], more)
    rows = _CONTENTS.rows(session, ids=ids)
    put_off = _put_off(session, now, rows) | _put_off_slow(session, now, rows, wait)
    suppressed = suppress.reasons(session, settings, {_recipient(row).identity for row in rows})
    wanted = [row for row in rows if row.message not in put_off and _is_wanted(row, suppressed)]
    held = _held(
        session,
        {row.subscriber_id for row in wanted if Kind(row.kind) is Kind.LINKS},
    )
    kept = [row.message for row in wanted]
    _set(session, set(ids) - set(kept) - put_off, status=Status.CANCELLED.value)
    _set(
        session,
        kept,
        status=Status.INFLIGHT.value,
        lease_id=lease_id,
        next_attempt_at=now + settings.outbox_lease,
        attempts=_OUTBOX.c.attempts + 1,
    )
    for row in wanted:
        if Kind(row.kind) in ABOUT_ADDRESSES:
            # It does not go to the address that they have: a bounce may be here before the relay's yes is.
            _set(session, [row.message], sent_to=digest_of(_recipient(row).address, settings.secret_keys))
    return Claims([_claimed(row, lease_id, held.get(row.subscriber_id, ())) for row in wanted], more)


def _put_off(session: Session, now: datetime, rows: Sequence[Row[Any]]) -> set[UUID]:
    """Those of many among these, while receivers refuse us as a sender: a run of mail is stopped then
    (checklist B3), and tried again later. What is about one person alone is not."""
    in_bulk = {row.message for row in rows if row.lane == Lane.BULK}
    if not in_bulk:
        return set()
    alarm = alarms.standing(session, now)
    if alarm is None or not alarm.stops_runs(now):
        return set()
    _set(session, in_bulk, status=Status.QUEUED.value, next_attempt_at=now + alarms.HOLD, lease_id=None)
    return in_bulk


def _put_off_slow(
    session: Session, now: datetime, rows: Sequence[Row[Any]], wait: Callable[[str], timedelta | None]
) -> set[UUID]:
    """Those whose domain takes mail so slowly that it is not their turn for some time: whoever is behind them
    must not wait with them."""
    waits = {row.message: wait(_domain(_recipient(row).address)) for row in rows}
    at = {message: now + time for message, time in waits.items() if time is not None}
    _PUT_OFF.run(session, [{"message": message, "next_attempt_at": moment} for message, moment in at.items()])
    return set(at)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


class _Recipient(NamedTuple):
    address: str
    identity: str
    other: str | None  # of the two addresses of a change, the other one


def _recipient(row: Row[Any]) -> _Recipient:
    """Whom a mail goes to: of a change of address, the new one or the old one, whichever the person has
    now."""
    kind = Kind(row.kind)
    if kind is Kind.ADDRESS_CHANGE and row.change_id is not None:
        return _Recipient(row.new_address, row.new_identity, row.old_address)
    if kind is Kind.ADDRESS_NOTICE and row.change_id is not None:
        return _Recipient(row.old_address, row.old_identity, row.new_address)
    return _Recipient(row.address, row.identity, None)


def _is_wanted(row: Row[Any], suppressed: Mapping[str, str]) -> bool:
    """Whether a mail still has its reason, and may go where it goes."""
    kind = Kind(row.kind)
    if State(row.state) not in _REASONS[kind]:
        return False
    if kind in ABOUT_ADDRESSES and (row.change_id is None or row.stopped_at is not None):
        return False
    if kind is Kind.ADDRESS_CHANGE and (row.made_at is not None or row.asked_as != row.person_generation):
        return False
    reason = suppressed.get(_recipient(row).identity)
    # The confirmation is how a suppression is lifted.
    return reason is None or (kind is Kind.CONFIRMATION and suppressing.is_liftable(reason))


def _claimed(row: Row[Any], lease_id: UUID, held: Sequence[Held]) -> Claimed:
    recipient = _recipient(row)
    return Claimed(
        id=row.message,
        lease_id=lease_id,
        kind=Kind(row.kind),
        lane=Lane(row.lane),
        message_id=row.message_id,
        attempts=row.attempts + 1,
        created_at=row.queued_at,
        address=recipient.address,
        locale=row.reads,
        subscription_id=row.subscription_id,
        generation=row.generation,
        subscriber_id=row.subscriber_id,
        # Whoever has the old address may not open the page of who has moved away from it.
        person_generation=row.asked_as if Kind(row.kind) is Kind.ADDRESS_NOTICE else row.person_generation,
        paused_until=row.paused_until,
        change_id=row.change_id,
        other_address=recipient.other,
        is_taken=row.taken_by is not None and row.taken_by != row.subscriber_id,
        list=lists.view(row),
        held=tuple(held),
    )


def _held(session: Session, subscriber_ids: Collection[UUID]) -> dict[UUID, list[Held]]:
    """What each of these people holds: their subscriptions that can be ended."""
    found: dict[UUID, list[Held]] = {}
    if not subscriber_ids:
        return found
    rows = session.execute(
        select(Subscription.subscriber_id, Subscription.id, Subscription.state, MailingList.name)
        .join(MailingList, MailingList.id == Subscription.list_id)
        .where(
            Subscription.subscriber_id.in_(list(subscriber_ids)),
            Subscription.state.in_([State.PENDING.value, State.CONFIRMED.value]),
        )
        .order_by(Subscription.id)
    )
    for subscriber_id, subscription_id, state, list_name in rows:
        found.setdefault(subscriber_id, []).append(Held(subscription_id, list_name, State(state)))
    return found


def _set(session: Session, ids: Collection[UUID], **values: Any) -> None:
    if ids:
        session.connection().execute(update(_OUTBOX).where(_OUTBOX.c.id.in_(list(ids))).values(**values))


_OUTBOX, _SUBSCRIPTIONS = table_of(OutboxMessage), table_of(Subscription)
_SUBSCRIBERS, _LISTS = table_of(Subscriber), table_of(MailingList)
_CHANGES, _TAKEN = table_of(AddressChange), table_of(Subscriber).alias("taken")
_DUE = Query(
    select(_OUTBOX.c.id)
    .where(
        text(IS_OPEN),
        _OUTBOX.c.lane == bindparam("lane", type_=_OUTBOX.c.lane.type),
        _OUTBOX.c.next_attempt_at <= bindparam("now", type_=_OUTBOX.c.created_at.type),
    )
    .order_by(_OUTBOX.c.next_attempt_at)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)
_CONTENTS = Query(
    select(
        _OUTBOX.c.id.label("message"),
        _OUTBOX.c.kind,
        _OUTBOX.c.message_id,
        _OUTBOX.c.attempts,
        _OUTBOX.c.lane,
        _OUTBOX.c.created_at.label("queued_at"),
        _OUTBOX.c.subscription_id,
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.generation,
        _SUBSCRIPTIONS.c.subscriber_id,
        _SUBSCRIBERS.c.address,
        _SUBSCRIBERS.c.identity,
        _SUBSCRIBERS.c.locale.label("reads"),
        _SUBSCRIBERS.c.generation.label("person_generation"),
        _SUBSCRIPTIONS.c.paused_until,
        _CHANGES.c.id.label("change_id"),
        _CHANGES.c.old_address,
        _CHANGES.c.old_identity,
        _CHANGES.c.new_address,
        _CHANGES.c.new_identity,
        _CHANGES.c.generation.label("asked_as"),
        _CHANGES.c.made_at,
        _CHANGES.c.stopped_at,
        _TAKEN.c.id.label("taken_by"),
        *lists.COLUMNS,
    )
    .select_from(_OUTBOX)
    .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _OUTBOX.c.subscription_id)
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
    .outerjoin(_CHANGES, _CHANGES.c.id == _OUTBOX.c.change_id)
    .outerjoin(_TAKEN, _TAKEN.c.identity == _CHANGES.c.new_identity)
    .where(among(_OUTBOX.c.id, "ids"))
    .order_by(_OUTBOX.c.lane, _OUTBOX.c.next_attempt_at, _OUTBOX.c.id)
)
_PUT_OFF = Query(update(_OUTBOX).where(_OUTBOX.c.id == bindparam("message")), columns=("next_attempt_at",))
