"""Confirming by the six digits of the confirmation mail, without leaving the page that asked for them.

An address that is unknown, confirmed or suppressed has no code that could be right, and is answered with
the same words after the same number of attempts (law 5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerSecond
from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain import codes
from newsletter.domain.addresses import Address
from newsletter.domain.lifecycle import State
from newsletter.models import MailingList, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import Kind
from newsletter.queries import Query, among
from newsletter.services import lists, outbox
from newsletter.services.confirm import Answer, Press, confirm
from newsletter.services.counting import DatabaseStorage
from newsletter.services.evidence import Seen
from newsletter.services.lists import ListView
from newsletter.settings import Settings

_WRONG_CODES = 30  # of one network in an hour


class Entered(Enum):
    """What became of a code."""

    CONFIRMED = "confirmed"
    WRONG = "wrong"  # or too old, or for another sign-up
    TOO_OFTEN = "too_often"


@dataclass(frozen=True)
class Code:
    """What a visitor typed, for the address with which they signed up."""

    slug: str
    address: Address
    typed: str
    seen: Seen


@dataclass(frozen=True)
class CodeAnswer:
    """The answer, and the list; None where that does not exist."""

    list: ListView | None
    entered: Entered


def enter_code(
    session: Session, settings: Settings, now: datetime, entries: Sequence[Code]
) -> list[CodeAnswer]:
    """Check codes in their order, and confirm what they are right for.

    After `codes.ATTEMPTS` attempts there is no other until `codes.LIFE` has passed without one, so no code
    lives through more attempts than that. Wrong codes are counted for each network and in all, too: whoever
    guesses at one code each of many sign-ups would be right once in a while.
    """
    known = lists.find_many(session, sorted({entry.slug for entry in entries}))
    counts = DatabaseStorage(session, now)
    counts.hold(_attempts_key(entry) for entry in entries)
    limits = _limits(settings)
    counts.load(key for entry in entries for _, key in limits(entry))
    mails = _mails(session, now, entries)
    answers: list[CodeAnswer] = []
    for entry in entries:
        mailing_list = known.get(entry.slug)
        key = _attempts_key(entry)
        counts.extend(key, int(codes.LIFE.total_seconds()))
        entered = Entered.WRONG
        mail = mails.get((entry.address.identity, mailing_list.id)) if mailing_list is not None else None
        # Checked in any case: the work is the same, whoever it is.
        is_right = codes.is_code_of(mail.message_id if mail else "", settings.secret_keys, entry.typed)
        guessed = any(counts.get(one) >= item.amount for item, one in limits(entry))
        if guessed or counts.get(key) > codes.ATTEMPTS:
            entered = Entered.TOO_OFTEN
        elif mail is not None and is_right:
            press = Press(mail.subscription_id, mail.generation, entry.seen)
            (confirmed,) = confirm(session, settings, now, [press])
            entered = Entered.CONFIRMED if confirmed.answer is Answer.CONFIRMED else Entered.WRONG
        if entered is Entered.WRONG:
            for item, one in limits(entry):
                counts.incr(one, item.get_expiry())
        answers.append(CodeAnswer(mailing_list, entered))
    counts.save()
    return answers


def _limits(settings: Settings) -> Callable[[Code], list[tuple[RateLimitItem, str]]]:
    """Which counts of wrong codes an entry falls under; none where limits are off."""
    if settings.signup_limit is None:
        return lambda _entry: []
    here = RateLimitItemPerHour(_WRONG_CODES, namespace="wrong-codes")
    surge = settings.surge_limit
    in_all = RateLimitItemPerSecond(surge.amount, surge.seconds, namespace="wrong-codes-in-all")
    return lambda entry: [(here, here.key_for(entry.seen.network or "unknown")), (in_all, in_all.key_for())]


@dataclass(frozen=True)
class _Mail:
    """The newest confirmation mail of a sign-up, and the sign-up that it confirms."""

    message_id: str
    subscription_id: UUID
    generation: int


def _mails(session: Session, now: datetime, entries: Sequence[Code]) -> dict[tuple[str, UUID], _Mail]:
    rows = _CONFIRMATIONS.rows(
        session,
        identities=sorted({entry.address.identity for entry in entries}),
        since=now - codes.LIFE,
    )
    return {
        (row.identity, row.list_id): _Mail(row.message_id, row.subscription_id, row.generation)
        for row in rows  # oldest first: the newest stays
        if outbox.is_for(row.idempotency_key, row.subscription_id, row.generation)
    }


def _attempts_key(entry: Code) -> str:
    """Hashed: it is kept for whoever is typed, known or not."""
    digest = hashlib.sha256(f"{entry.slug} {entry.address.identity}".encode()).hexdigest()
    return f"code/{digest[:32]}"


_OUTBOX, _SUBSCRIPTIONS = table_of(OutboxMessage), table_of(Subscription)
_SUBSCRIBERS, _LISTS = table_of(Subscriber), table_of(MailingList)
_CONFIRMATIONS = Query(
    select(
        _SUBSCRIBERS.c.identity,
        _SUBSCRIPTIONS.c.list_id,
        _SUBSCRIPTIONS.c.id.label("subscription_id"),
        _SUBSCRIPTIONS.c.generation,
        _OUTBOX.c.message_id,
        _OUTBOX.c.idempotency_key,
    )
    .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.subscriber_id == _SUBSCRIBERS.c.id)
    .join(_OUTBOX, _OUTBOX.c.subscription_id == _SUBSCRIPTIONS.c.id)
    .where(
        among(_SUBSCRIBERS.c.identity, "identities"),
        # Who is confirmed may have sent it twice.
        text(
            f"subscriptions.state IN ('{State.PENDING}', '{State.CONFIRMED}') "
            f"AND outbox.kind = '{Kind.CONFIRMATION}'"
        ),
        _OUTBOX.c.created_at > bindparam("since", type_=_OUTBOX.c.created_at.type),
    )
    .order_by(_OUTBOX.c.created_at)
)
