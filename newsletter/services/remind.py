"""One reminder to those who never confirmed, where their list asks for it: the worker's side.

A reminder is made once for a sign-up and never again (`subscriptions.reminded`), only after the confirmation
was sent and while its link still works, and within the same bounds as any mail that a sign-up causes (D9)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Integer, Row, and_, bindparam, or_, select, text
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.resending import earliest_next, earliest_over_all
from newsletter.models import MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import Kind, Status
from newsletter.queries import Query, among
from newsletter.services import evidence, lists, outbox, suppress
from newsletter.services.lists import ListView
from newsletter.services.subscribe import MAIL_KINDS
from newsletter.settings import Settings

_BATCH = 500


@dataclass(frozen=True)
class Place:
    """How far a round came on a list: when the last one looked at was asked for, and its id."""

    asked_at: datetime
    subscription_id: UUID


@dataclass(frozen=True)
class Reminded:
    """What a batch did. `last` is where the next one goes on; None at the end of the list."""

    made: int
    last: Place | None


def reminding(session: Session) -> list[ListView]:
    """The lists that remind."""
    return [found for found in lists.every(session) if found.reminder_after_hours is not None]


def remind(
    session: Session,
    settings: Settings,
    now: datetime,
    mailing_list: ListView,
    *,
    after: Place | None = None,
    limit: int = _BATCH,
) -> Reminded:
    """Make the reminders that are due among the next `limit` of a list's unconfirmed. Whom another worker
    holds is left to it; whom the bounds of D9 hold back is looked at again in a later round."""
    assert mailing_list.reminder_after_hours is not None
    since_sent = now - timedelta(hours=mailing_list.reminder_after_hours)
    begin = now - settings.confirm_max_age
    place = after or Place(begin, UUID(int=0))
    rows = _DUE.rows(
        session,
        list_id=mailing_list.id,
        begin=place.asked_at,
        last=place.subscription_id,
        until=since_sent,
        most=limit,
    )
    last = Place(rows[-1].asked_at, rows[-1].id) if len(rows) == limit else None
    ripe = _ripe(session, settings, since_sent, rows)
    # Held back, not forgotten: the bounds may have room in a later round.
    allowed = _allowed(session, now, ripe)
    domain = mailing_list.sender_or(settings.mail_from).domain
    outbox.enqueue(
        session,
        [
            outbox.single_row(row.id, Kind.REMINDER, now, generation=row.generation, sender_domain=domain)
            for row in allowed
        ],
    )
    evidence.change(session, [{"subscription": row.id, "reminded": row.generation} for row in allowed])
    return Reminded(len(allowed), last)


def _ripe(
    session: Session, settings: Settings, since_sent: datetime, rows: list[Row[tuple[object, ...]]]
) -> list[Row[tuple[object, ...]]]:
    """Those whose newest mail is a confirmation that was sent long enough ago, and who are not suppressed."""
    if not rows:
        return []
    newest: dict[UUID, tuple[str, str, datetime | None]] = {}
    for mail in _MAILS.rows(session, ids=[row.id for row in rows]):  # oldest first: the newest stays
        newest[mail.subscription_id] = (mail.kind, mail.status, mail.sent_at)
    suppressed = suppress.which(session, settings, {row.identity for row in rows})
    ripe = []
    for row in rows:
        kind, status, sent_at = newest.get(row.id, ("", "", None))
        was_sent = kind == Kind.CONFIRMATION and status == Status.SENT
        if was_sent and sent_at is not None and sent_at <= since_sent and row.identity not in suppressed:
            ripe.append(row)
    return ripe


def _allowed(
    session: Session, now: datetime, rows: list[Row[tuple[object, ...]]]
) -> list[Row[tuple[object, ...]]]:
    """Those who may be mailed now by the bounds of one list and of all lists (D9)."""
    if not rows:
        return []
    held = _HELD.rows(session, people=[row.subscriber_id for row in rows])
    past = outbox.histories(session, [row.id for row in held], now, kinds=MAIL_KINDS)
    over_all: dict[UUID, list[datetime]] = defaultdict(list)
    for row in held:
        over_all[row.subscriber_id] += past[row.id].mailed
    return [
        row
        for row in rows
        if (earliest_next(past[row.id].mailed, consented_at=None) or now) <= now
        and (earliest_over_all(over_all[row.subscriber_id]) or now) <= now
    ]


_SUBSCRIPTIONS, _SUBSCRIBERS = table_of(Subscription), table_of(Subscriber)
_OUTBOX, _LISTS = table_of(OutboxMessage), table_of(MailingList)
_MOMENT = _SUBSCRIPTIONS.c.asked_at.type
_BEGIN = bindparam("begin", type_=_MOMENT)
_DUE = Query(
    select(
        _SUBSCRIPTIONS.c.id,
        _SUBSCRIPTIONS.c.asked_at,
        _SUBSCRIPTIONS.c.generation,
        _SUBSCRIPTIONS.c.subscriber_id,
        _SUBSCRIBERS.c.identity,
    )
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .where(
        _SUBSCRIPTIONS.c.list_id == bindparam("list_id", type_=_SUBSCRIPTIONS.c.list_id.type),
        # Written out, so that both databases see that their index fits.
        text("subscriptions.state = 'pending' AND subscriptions.reminded < subscriptions.generation"),
        _SUBSCRIPTIONS.c.asked_at <= bindparam("until", type_=_MOMENT),
        _SUBSCRIPTIONS.c.asked_at >= _BEGIN,
        or_(
            _SUBSCRIPTIONS.c.asked_at > _BEGIN,
            and_(
                _SUBSCRIPTIONS.c.asked_at == _BEGIN,
                _SUBSCRIPTIONS.c.id > bindparam("last", type_=_SUBSCRIPTIONS.c.id.type),
            ),
        ),
    )
    .order_by(_SUBSCRIPTIONS.c.asked_at, _SUBSCRIPTIONS.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(of=_SUBSCRIPTIONS, skip_locked=True)
)
_MAILS = Query(
    select(_OUTBOX.c.subscription_id, _OUTBOX.c.kind, _OUTBOX.c.status, _OUTBOX.c.sent_at)
    .where(
        among(_OUTBOX.c.subscription_id, "ids"),
        # A mail that somebody asked for by «send me my link» tells nothing of the confirmation.
        _OUTBOX.c.kind != Kind.LINKS.value,
    )
    .order_by(_OUTBOX.c.created_at, _OUTBOX.c.id)
)
_HELD = Query(
    select(_SUBSCRIPTIONS.c.id, _SUBSCRIPTIONS.c.subscriber_id).where(
        among(_SUBSCRIPTIONS.c.subscriber_id, "people")
    )
)
