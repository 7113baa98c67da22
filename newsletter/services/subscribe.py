"""Signing up: the way in (checklist D9, D10, D11, A7).

The work before the answer is the same whatever is known of an address: the same statements, in one
transaction. What differs is only what they find, and which mail leaves later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, insert, select
from sqlalchemy.orm import Session

from newsletter.database import Conflict, table_of
from newsletter.domain.addresses import Address
from newsletter.domain.ids import new_id
from newsletter.domain.languages import choose
from newsletter.domain.lifecycle import Event, State, move
from newsletter.domain.resending import earliest_next
from newsletter.models import Subscriber, Subscription, Wording
from newsletter.models.outbox import Kind
from newsletter.queries import Query, among, insert_missing
from newsletter.services import evidence, guard, lists, outbox, suppress
from newsletter.services.evidence import Seen
from newsletter.services.guard import TooOften
from newsletter.services.lists import ListView
from newsletter.settings import Settings

MAIL_KINDS = (Kind.CONFIRMATION, Kind.ALREADY_SUBSCRIBED)
_LONGEST_WAIT = timedelta(days=1)  # for a confirmation that the bounds of D9 hold back


@dataclass(frozen=True)
class SignUp:
    """What a visitor sent, checked."""

    slug: str
    address: Address
    name: str | None
    locale: str | None  # the language that the form asks for
    seen: Seen
    accepted: tuple[str, ...] = ()  # the languages that the browser takes, in its order

    def language(self, mailing_list: ListView) -> str:
        """The language in which the visitor was and will be spoken to."""
        return choose(self.locale, mailing_list.locale, self.accepted)


@dataclass
class _Standing:
    """How one person stands with one list, while the sign-ups of a batch are applied to it."""

    subscriber_id: UUID
    subscription_id: UUID
    state: State | None = None
    generation: int = 0
    confirmed_at: datetime | None = None
    history: outbox.History = field(default_factory=outbox.History)


def subscribe(
    session: Session, settings: Settings, now: datetime, sign_ups: Sequence[SignUp]
) -> list[ListView | TooOften | None]:
    """Apply sign-ups in their order; returns each one's list, None where that list does not exist, and
    `TooOften` where nothing was stored because its network has used up the limit."""
    refused = guard.exceeded(session, settings, now, [sign_up.seen.network for sign_up in sign_ups])
    known = lists.find_many(session, sorted({sign_up.slug for sign_up in sign_ups}))
    suppressed = suppress.which(session, settings, {sign_up.address.identity for sign_up in sign_ups})
    wanted = [
        sign_up
        for sign_up, too_often in zip(sign_ups, refused, strict=True)
        if too_often is None and sign_up.slug in known and sign_up.address.identity not in suppressed
    ]
    if wanted:
        standings = _standings(session, now, wanted, known)
        _apply(session, settings, now, wanted, known, standings)
    return [
        too_often or known.get(sign_up.slug) for sign_up, too_often in zip(sign_ups, refused, strict=True)
    ]


def _standings(
    session: Session, now: datetime, sign_ups: Sequence[SignUp], known: dict[str, ListView]
) -> dict[tuple[str, UUID], _Standing]:
    """How everybody in the batch stands, by identity and list; their rows are locked until the commit.

    Rows are inserted and locked in order of identity, so that two batches cannot wait for each other.
    """
    newcomers: dict[str, dict[str, Any]] = {
        sign_up.address.identity: {
            "id": new_id(now),
            "address": sign_up.address.text,
            "identity": sign_up.address.identity,
            "name": sign_up.name,
            "locale": sign_up.language(known[sign_up.slug]),
            "attributes": {},
            "created_at": now,
        }
        for sign_up in reversed(sign_ups)
    }
    _ADD_PEOPLE.run(session, [row for _, row in sorted(newcomers.items())])
    found = _STANDINGS.rows(
        session, list_ids=[mailing_list.id for mailing_list in known.values()], identities=sorted(newcomers)
    )
    subscriber_ids = {row.identity: row.id for row in found}
    if len(subscriber_ids) < len(newcomers):
        raise Conflict("a subscriber was purged while they signed up")
    standings = {
        (row.identity, row.list_id): _Standing(
            row.id, row.subscription_id, State(row.state), row.generation, row.confirmed_at
        )
        for row in found
        if row.subscription_id is not None
    }
    past = outbox.histories(
        session, [standing.subscription_id for standing in standings.values()], now, kinds=MAIL_KINDS
    )
    for standing in standings.values():
        standing.history = past[standing.subscription_id]
    for sign_up in sign_ups:
        key = (sign_up.address.identity, known[sign_up.slug].id)
        if key not in standings:
            standings[key] = _Standing(subscriber_ids[key[0]], new_id(now))
    return standings


def _apply(
    session: Session,
    settings: Settings,
    now: datetime,
    sign_ups: Sequence[SignUp],
    known: dict[str, ListView],
    standings: dict[tuple[str, UUID], _Standing],
) -> None:
    added: dict[UUID, dict[str, Any]] = {}
    changed: dict[UUID, dict[str, Any]] = {}
    events: list[dict[str, Any]] = []
    mails: list[dict[str, Any]] = []
    for sign_up in sign_ups:
        mailing_list = known[sign_up.slug]
        standing = standings[sign_up.address.identity, mailing_list.id]
        before = standing.state
        standing.state = move(before, Event.SIGN_UP)
        starts_anew = standing.state is State.PENDING and before is not State.PENDING
        standing.generation += starts_anew
        mail = _mail(settings, now, mailing_list, standing, starts_anew=starts_anew)
        if mail is not None:
            mails.append(mail)
        events.append(
            evidence.event_row(
                standing.subscription_id,
                Event.SIGN_UP,
                now,
                sign_up.seen,
                wording=mailing_list.wording_in(sign_up.language(mailing_list)).digest,
                message_id=mail["message_id"] if mail else None,
            )
        )
        if before is None:
            added[standing.subscription_id] = {
                "id": standing.subscription_id,
                "subscriber_id": standing.subscriber_id,
                "list_id": mailing_list.id,
                "state": standing.state.value,
                "generation": standing.generation,
                "source": sign_up.seen.way,
                "created_at": now,
                "asked_at": now,
            }
        elif standing.subscription_id not in added:
            changed[standing.subscription_id] = {
                "subscription": standing.subscription_id,
                "state": standing.state.value,
                "generation": standing.generation,
                "asked_at": now,
            }
    wordings = {
        mailing_list.wording_in(sign_up.language(mailing_list))
        for sign_up in sign_ups
        for mailing_list in [known[sign_up.slug]]
    }
    _ADD_WORDINGS.run(
        session,
        [
            {"digest": wording.digest, "text": wording.text}
            for wording in sorted(wordings, key=lambda w: w.digest)
        ],
    )
    _ADD.run(session, list(added.values()))
    evidence.change(session, changed.values())
    evidence.record(session, events)
    outbox.enqueue(session, mails)


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
_ADD_PEOPLE = Query(
    insert_missing(_SUBSCRIBERS, "identity"),
    columns=("id", "address", "identity", "name", "locale", "attributes", "created_at"),
)
_ADD_WORDINGS = Query(insert_missing(table_of(Wording)), columns=("digest", "text"))
_ADD = Query(
    insert(_SUBSCRIPTIONS),
    columns=("id", "subscriber_id", "list_id", "state", "generation", "source", "created_at", "asked_at"),
)
_STANDINGS = Query(
    select(
        _SUBSCRIBERS.c.id,
        _SUBSCRIBERS.c.identity,
        _SUBSCRIPTIONS.c.list_id,
        _SUBSCRIPTIONS.c.id.label("subscription_id"),
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.generation,
        _SUBSCRIPTIONS.c.confirmed_at,
    )
    .outerjoin(
        _SUBSCRIPTIONS,
        and_(
            _SUBSCRIPTIONS.c.subscriber_id == _SUBSCRIBERS.c.id,
            among(_SUBSCRIPTIONS.c.list_id, "list_ids"),
        ),
    )
    .where(among(_SUBSCRIBERS.c.identity, "identities"))
    .order_by(_SUBSCRIBERS.c.identity)
    .with_for_update(of=_SUBSCRIBERS)
)


def _mail(
    settings: Settings, now: datetime, mailing_list: ListView, standing: _Standing, *, starts_anew: bool
) -> dict[str, Any] | None:
    """The mail that a sign-up causes, if any (checklist D9, D10)."""
    if standing.state is State.COMPLAINED or standing.history.waiting:
        return None
    due = (
        earliest_next(standing.history.mailed, consented_at=standing.confirmed_at if starts_anew else None)
        or now
    )
    if due > now and not (starts_anew and due <= now + _LONGEST_WAIT):
        # A sign-up that starts anew has no living link yet, so its mail waits until it may leave.
        return None
    kind = Kind.ALREADY_SUBSCRIBED if standing.state is State.CONFIRMED else Kind.CONFIRMATION
    row = outbox.message_row(
        standing.subscription_id,
        kind,
        now,
        due=max(due, now),
        sender_domain=mailing_list.sender_or(settings.mail_from).domain,
        generation=standing.generation,
    )
    standing.history.mailed.append(now)
    standing.history.waiting = True
    return row
