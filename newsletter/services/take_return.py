"""Taking what came back of a mail: a bounce, a complaint, or a wish to leave, each only once.

What it means is decided by newsletter.domain.bounce_policy, whoever brought it. A bounce and a complaint are
about the person's address, so they end all that the person holds; about a mail to another address than they
have now (a new one that they never confirmed, an old one), they suppress that one, and end nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain import bounce_policy
from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.bounce_policy import Rule, Verdict
from newsletter.domain.lifecycle import Event, move
from newsletter.domain.returns import Return, ReturnKind
from newsletter.domain.suppressing import digests
from newsletter.models import MailReturn, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import ABOUT_ADDRESSES, Kind
from newsletter.services import alarms
from newsletter.services.ending import end_all
from newsletter.services.evidence import Seen
from newsletter.services.suppress import suppress, suppress_digest
from newsletter.services.unsubscribe import Leave, unsubscribe
from newsletter.settings import Settings

log = structlog.get_logger()


class Taken(StrEnum):
    """What became of a return."""

    SUPPRESSED = "suppressed"  # the address is not mailed again
    COUNTED = "counted"  # noted; enough of these suppress
    OUR_FAULT = "our_fault"  # an alarm was raised, nobody was suppressed
    UNSUBSCRIBED = "unsubscribed"
    IGNORED = "ignored"  # it means nothing
    REPLAYED = "replayed"  # it was taken before
    NOBODY = "nobody"  # whom it is about is not known, or not any more


# Those that tell of something new.
MEANT_SOMETHING = frozenset({Taken.SUPPRESSED, Taken.COUNTED, Taken.OUR_FAULT, Taken.UNSUBSCRIBED})


@dataclass(frozen=True)
class _Person:
    id: UUID
    identity: str
    subscription_id: UUID | None
    outbox_id: UUID | None
    elsewhere: str | None = None  # the keyed hash of where the mail went, if not to the address they have


def take_return(session: Session, settings: Settings, now: datetime, ret: Return) -> Taken:
    """Do what a return asks for. Taking one with the same key again changes nothing."""
    person = _find(session, settings, ret)
    if person is None or not _went_to(settings, person, ret.address):
        return Taken.NOBODY
    key = _key(ret, person)
    if session.execute(select(_RETURNS.c.key).where(_RETURNS.c.key == key)).one_or_none():
        return Taken.REPLAYED
    rule = bounce_policy.judge(ret.status, ret.diagnostic) if ret.kind is ReturnKind.BOUNCE else None
    if rule is not None and rule.verdict is Verdict.IGNORE:
        return Taken.IGNORED
    if rule is not None and _told_before(session, person, rule):
        return Taken.REPLAYED
    if person.elsewhere is not None and not _is_final(ret.kind, rule):
        return Taken.NOBODY
    session.execute(
        insert(_RETURNS).values(
            key=key,
            subscriber_id=person.id,
            outbox_id=person.outbox_id,
            kind=ret.kind.value,
            verdict=rule.verdict.value if rule else None,
            status=(bounce_policy.precise(ret.status, ret.diagnostic) or None) if rule else None,
            way=ret.way[:16],
            at=now,
        )
    )
    if rule is not None:
        return _bounce(session, settings, now, ret, person, rule)
    if ret.kind is ReturnKind.COMPLAINT:
        return _end(session, settings, now, person, Event.COMPLAIN, ret.way)
    return _leave(session, settings, now, person, ret.way)


def _key(ret: Return, person: _Person) -> str:
    """The key of a return. One that is known by a link, which stands in all mails of a subscription, is
    another where the mail went to another address."""
    if ret.subscription_id is None or person.elsewhere is None:
        return ret.digest
    return replace(ret, key=f"{ret.key}:{person.elsewhere}").digest


def _bounce(
    session: Session, settings: Settings, now: datetime, ret: Return, person: _Person, rule: Rule
) -> Taken:
    if rule.verdict is Verdict.OUR_FAULT:
        status = bounce_policy.precise(ret.status, ret.diagnostic)
        alarms.sound(session, now, alarms.SENDER_REFUSED, ret.diagnostic or status or rule.why)
        log.error("sender_refused", status=status, why=rule.why, way=ret.way)
        return Taken.OUR_FAULT
    if rule.verdict is Verdict.COUNT and not bounce_policy.is_enough(_counted(session, now, person)):
        return Taken.COUNTED
    return _end(session, settings, now, person, Event.BOUNCE, ret.way)


def _went_to(settings: Settings, person: _Person, address: str | None) -> bool:
    """Whether a mail went to this address, where one is named that is any."""
    identity = _identity(address) if address is not None else None
    if identity is None:
        return True
    if person.elsewhere is None:
        return identity == person.identity
    return person.elsewhere in _digests(settings, identity)


def _is_final(kind: ReturnKind, rule: Rule | None) -> bool:
    """Whether it can be acted on without knowing the address: what only counts is counted by person."""
    return kind is ReturnKind.COMPLAINT or (rule is not None and rule.verdict is not Verdict.COUNT)


def _told_before(session: Session, person: _Person, rule: Rule) -> bool:
    """Whether the same came back of this mail. Whoever has its return path can report it with any status,
    as often as they like: one mail is one refusal, and one line in the table."""
    if person.outbox_id is None:
        return False
    same = select(_RETURNS.c.key).where(
        _RETURNS.c.subscriber_id == person.id,
        _RETURNS.c.verdict == rule.verdict.value,
        _RETURNS.c.outbox_id == person.outbox_id,
    )
    return session.execute(same.limit(1)).first() is not None


def _counted(session: Session, now: datetime, person: _Person) -> list[datetime]:
    """When the mails bounced that count, each mail once, since the person last asked for mail."""
    asked = (
        select(func.max(_SUBSCRIPTIONS.c.asked_at))
        .where(_SUBSCRIPTIONS.c.subscriber_id == person.id)
        .scalar_subquery()
    )
    rows = session.execute(
        select(_RETURNS.c.key, _RETURNS.c.outbox_id, _RETURNS.c.at)
        .where(
            _RETURNS.c.subscriber_id == person.id,
            _RETURNS.c.verdict == Verdict.COUNT.value,
            _RETURNS.c.at > now - bounce_policy.MEMORY,
            _RETURNS.c.at >= asked,
        )
        .order_by(_RETURNS.c.at)
    )
    return list({row.outbox_id or row.key: row.at for row in rows}.values())


_REASONS = {Event.BOUNCE: "bounce", Event.COMPLAIN: "complaint"}


def _end(
    session: Session, settings: Settings, now: datetime, person: _Person, event: Event, way: str
) -> Taken:
    """End all that the person holds, and never mail the address again."""
    if person.elsewhere is not None:
        suppress_digest(session, now, person.elsewhere, reason=_REASONS[event])
        return Taken.SUPPRESSED
    end_all(session, now, person.id, event, Seen(way[:16]))
    suppress(session, settings, now, person.identity, reason=_REASONS[event])
    return Taken.SUPPRESSED


def _leave(session: Session, settings: Settings, now: datetime, person: _Person, way: str) -> Taken:
    if person.subscription_id is None:
        return Taken.NOBODY
    (found,) = unsubscribe(session, settings, now, [Leave(person.subscription_id, Seen(way[:16]))])
    if found is None:
        return Taken.NOBODY
    return Taken.IGNORED if move(found.state, Event.UNSUBSCRIBE) is found.state else Taken.UNSUBSCRIBED


def _find(session: Session, settings: Settings, ret: Return) -> _Person | None:
    """Whose it is, locked until the commit."""
    if ret.outbox_id is not None:
        return _by_mail(session, settings, ret.outbox_id)
    if ret.change_id is not None:
        asked = select(_OUTBOX.c.id).where(
            _OUTBOX.c.change_id == ret.change_id, _OUTBOX.c.kind == Kind.ADDRESS_CHANGE.value
        )
        mail = session.scalar(asked)
        return _by_mail(session, settings, mail) if mail is not None else None
    named = _by_message_id(session, settings, ret.message_id) if ret.message_id is not None else None
    if ret.subscription_id is not None:
        # Its link stands in all mails of a subscription; the one that is named may have gone elsewhere.
        is_one = named is not None and named.subscription_id == ret.subscription_id
        return named if is_one else _by_subscription(session, ret.subscription_id)
    if named is None and ret.address is not None:
        return _by_address(session, ret.address)
    return named


def _by_message_id(session: Session, settings: Settings, message_id: str) -> _Person | None:
    ours = _own_id(message_id)
    return _by_mail(session, settings, ours) if ours is not None else None


def _own_id(message_id: str) -> UUID | None:
    """The outbox message's id, which its Message-ID begins with (newsletter.services.outbox)."""
    try:
        return UUID(message_id.strip().removeprefix("<").partition("@")[0])
    except ValueError:
        return None


def _by_mail(session: Session, settings: Settings, outbox_id: UUID) -> _Person | None:
    """Whom a message went to, and whether it went to the address that they have now."""
    row = session.execute(
        select(
            _OUTBOX.c.id,
            _OUTBOX.c.subscription_id,
            _OUTBOX.c.sent_to,
            _OUTBOX.c.kind,
            _SUBSCRIBERS.c.id.label("person"),
            _SUBSCRIBERS.c.identity,
        )
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _OUTBOX.c.subscription_id)
        .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
        .where(_OUTBOX.c.id == outbox_id)
        .with_for_update(of=_SUBSCRIBERS)
    ).one_or_none()
    if row is None:
        return None
    if row.sent_to is None and Kind(row.kind) in ABOUT_ADDRESSES:
        return None  # no worker has had it yet
    elsewhere = None if row.sent_to in _digests(settings, row.identity) else row.sent_to
    return _Person(row.person, row.identity, row.subscription_id, row.id, elsewhere)


def _digests(settings: Settings, identity: str) -> list[str]:
    return digests(identity, (*settings.retired_keys, *settings.secret_keys))


def _by_subscription(session: Session, subscription_id: UUID) -> _Person | None:
    row = session.execute(
        select(_SUBSCRIBERS.c.id, _SUBSCRIBERS.c.identity)
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.subscriber_id == _SUBSCRIBERS.c.id)
        .where(_SUBSCRIPTIONS.c.id == subscription_id)
        .with_for_update(of=_SUBSCRIBERS)
    ).one_or_none()
    return _Person(row.id, row.identity, subscription_id, None) if row else None


def _by_address(session: Session, address: str) -> _Person | None:
    identity = _identity(address)
    if identity is None:
        return None
    row = session.execute(
        select(_SUBSCRIBERS.c.id).where(_SUBSCRIBERS.c.identity == identity).with_for_update()
    ).one_or_none()
    return _Person(row.id, identity, None, None) if row else None


def _identity(address: str) -> str | None:
    try:
        return parse_address(address).identity
    except AddressError:
        return None


_RETURNS, _OUTBOX = table_of(MailReturn), table_of(OutboxMessage)
_SUBSCRIPTIONS, _SUBSCRIBERS = table_of(Subscription), table_of(Subscriber)
