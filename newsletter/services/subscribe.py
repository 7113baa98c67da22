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

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from newsletter.database import Conflict, table_of
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import Event, State, move
from newsletter.domain.resending import earliest_next, earliest_over_all
from newsletter.domain.searching import search_text
from newsletter.models import Subscriber, Subscription, Wording
from newsletter.models.outbox import Kind
from newsletter.queries import Query, among, insert_missing
from newsletter.services import evidence, lists, outbox, suppress
from newsletter.services.counting import DatabaseStorage
from newsletter.services.guard import Answer, Verdict
from newsletter.services.lists import ListView
from newsletter.services.sign_ups import SignUp, judge_all
from newsletter.settings import Settings

MAIL_KINDS = (Kind.CONFIRMATION, Kind.REMINDER, Kind.ALREADY_SUBSCRIBED)
_LONGEST_WAIT = timedelta(days=1)  # for a confirmation that the bounds of D9 hold back


@dataclass(frozen=True)
class Outcome:
    """What became of a sign-up: None for the list where it does not exist. The verdict is what the visitor
    is told, and all that they are told."""

    list: ListView | None
    verdict: Verdict


@dataclass
class _Person:
    """One person, while the sign-ups of a batch are applied: when they were mailed for any list."""

    id: UUID
    mailed: list[datetime] = field(default_factory=list)


@dataclass
class _Standing:
    """How one person stands with one list, while the sign-ups of a batch are applied to it."""

    person: _Person
    subscription_id: UUID
    state: State | None = None
    generation: int = 0
    confirmed_at: datetime | None = None
    history: outbox.History = field(default_factory=outbox.History)


def subscribe(
    session: Session, settings: Settings, now: datetime, sign_ups: Sequence[SignUp]
) -> list[Outcome]:
    """Apply sign-ups in their order. Nothing is stored for one that must take a step or wait."""
    known = lists.find_many(session, sorted({sign_up.slug for sign_up in sign_ups}))
    counts = DatabaseStorage(session, now)
    verdicts = judge_all(counts, settings, now, sign_ups, known)
    # Who can lift their suppression is asked to confirm, as anybody.
    suppressed = suppress.for_good(session, settings, {sign_up.address.identity for sign_up in sign_ups})
    wanted = [
        sign_up
        for sign_up, verdict in zip(sign_ups, verdicts, strict=True)
        if verdict.answer is Answer.TAKE
        and sign_up.slug in known
        and sign_up.address.identity not in suppressed
    ]
    if wanted:
        standings = _standings(session, now, wanted, known)
        _apply(session, settings, now, wanted, known, standings)
    # Last, because many at once count the same things: no other has to wait for more than this commit.
    counts.save()
    return [
        Outcome(known.get(sign_up.slug), verdict) for sign_up, verdict in zip(sign_ups, verdicts, strict=True)
    ]


def _standings(
    session: Session, now: datetime, sign_ups: Sequence[SignUp], known: dict[str, ListView]
) -> dict[tuple[str, UUID], _Standing]:
    """How everybody in the batch stands, by identity and list; their rows are locked until the commit, people
    first and then subscriptions: whoever leaves at the same moment is not brought back.

    Rows are inserted and locked in one order, so that two batches cannot wait for each other.
    """
    newcomers: dict[str, dict[str, Any]] = {
        sign_up.address.identity: {
            "id": new_id(now),
            "address": sign_up.address.text,
            "identity": sign_up.address.identity,
            "name": sign_up.name,
            "search": search_text(sign_up.address.text, sign_up.name),
            "locale": sign_up.language(known[sign_up.slug]),
            "attributes": {},
            "created_at": now,
        }
        for sign_up in reversed(sign_ups)
    }
    _ADD_PEOPLE.run(session, [row for _, row in sorted(newcomers.items())])
    found = _STANDINGS.rows(session, identities=sorted(newcomers))
    people = {row.identity: _Person(row.id) for row in found}
    if len(people) < len(newcomers):
        raise Conflict("a subscriber was purged while they signed up")
    standings = {
        (row.identity, row.list_id): _Standing(people[row.identity], row.subscription_id)
        for row in found
        if row.subscription_id is not None
    }
    if standings:
        _lock(session, list(standings.values()))
    past = outbox.histories(
        session, [standing.subscription_id for standing in standings.values()], now, kinds=MAIL_KINDS
    )
    for standing in standings.values():
        standing.history = past[standing.subscription_id]
        standing.person.mailed += standing.history.mailed
    for sign_up in sign_ups:
        key = (sign_up.address.identity, known[sign_up.slug].id)
        if key not in standings:
            standings[key] = _Standing(people[key[0]], new_id(now))
    return standings


def _lock(session: Session, standings: Sequence[_Standing]) -> None:
    """Read how they stand now, and keep them so."""
    held = {row.id: row for row in _HELD.rows(session, ids=[one.subscription_id for one in standings])}
    if len(held) < len(standings):
        raise Conflict("a subscription was purged while its reader signed up")
    for standing in standings:
        row = held[standing.subscription_id]
        standing.state, standing.generation = State(row.state), row.generation
        standing.confirmed_at = row.confirmed_at


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
    hastened: set[UUID] = set()
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
        elif standing.history.is_behind and standing.state is State.PENDING:
            hastened.add(standing.subscription_id)
        events.append(
            evidence.event_row(
                mailing_list.id,
                standing.subscription_id,
                Event.SIGN_UP,
                now,
                sign_up.seen,
                before=before,
                after=standing.state,
                wording=mailing_list.wording_in(sign_up.language(mailing_list)).digest,
                message_id=mail["message_id"] if mail else None,
            )
        )
        if before is None:
            added[standing.subscription_id] = {
                "id": standing.subscription_id,
                "subscriber_id": standing.person.id,
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
    if hastened:
        outbox.hasten(session, now, hastened)


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
_ADD_PEOPLE = Query(
    insert_missing(_SUBSCRIBERS, "identity"),
    columns=("id", "address", "identity", "name", "search", "locale", "attributes", "created_at"),
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
    )
    .outerjoin(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.subscriber_id == _SUBSCRIBERS.c.id)
    .where(among(_SUBSCRIBERS.c.identity, "identities"))
    .order_by(_SUBSCRIBERS.c.identity)
    .with_for_update(of=_SUBSCRIBERS)
)
_HELD = Query(
    select(
        _SUBSCRIPTIONS.c.id,
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.generation,
        _SUBSCRIPTIONS.c.confirmed_at,
    )
    .where(among(_SUBSCRIPTIONS.c.id, "ids"))
    .order_by(_SUBSCRIPTIONS.c.id)
    .with_for_update()
)


def _mail(
    settings: Settings, now: datetime, mailing_list: ListView, standing: _Standing, *, starts_anew: bool
) -> dict[str, Any] | None:
    """The mail that a sign-up causes, if any (checklist D9, D10)."""
    if standing.state is State.COMPLAINED or standing.history.waiting:
        return None
    due = max(
        earliest_next(standing.history.mailed, consented_at=standing.confirmed_at if starts_anew else None)
        or now,
        earliest_over_all(standing.person.mailed) or now,
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
    standing.person.mailed.append(now)
    standing.history.waiting = True
    return row
