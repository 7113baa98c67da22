"""Adding one address by hand: somebody asked for it, at a counter or by letter.

Nobody who left comes back that way, and without a statement of where their consent came from nobody is
mailed before they have confirmed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import Conflict, table_of
from newsletter.domain import languages
from newsletter.domain.addresses import Address
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import IMPORTS, Event, State
from newsletter.domain.profiles import ProfileError, check_attributes, is_one_line, parse_name
from newsletter.domain.searching import search_text
from newsletter.models import Subscriber, Subscription, Wording
from newsletter.queries import Query, insert_missing
from newsletter.services import audit, evidence, outbox, suppress
from newsletter.services.access import Actor
from newsletter.services.evidence import Seen
from newsletter.services.guard import Answer, Verdict
from newsletter.services.lists import ListView
from newsletter.services.sign_ups import SignUp
from newsletter.services.subscribe import subscribe
from newsletter.services.subscribers.finding import find_address
from newsletter.settings import Settings

LONGEST_STATEMENT = 2000
_WHY_NOT = {
    State.UNSUBSCRIBED: "they unsubscribed: only they themselves can come back, by the form",
    State.BOUNCED: "their address did not take mail: they can come back themselves, by the form",
    State.COMPLAINED: "they reported this list's mail as spam, and are never mailed again",
}


class CannotAdd(Exception):
    """This address cannot be added. The message says why, in one line."""


@dataclass(frozen=True)
class Newcomer:
    """Somebody to be added. `statement` tells where their consent came from: with it they are confirmed at
    once, and it is kept as evidence; without it they are asked to confirm."""

    address: Address
    name: str | None = None
    locale: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    statement: str | None = None


@dataclass(frozen=True)
class Added:
    """The subscription, its state now, and whether this changed anything."""

    id: UUID
    state: State
    changed: bool


def add(
    session: Session,
    settings: Settings,
    now: datetime,
    actor: Actor,
    seen: Seen,
    mailing_list: ListView,
    newcomer: Newcomer,
) -> Added:
    """Add somebody to a list; who is confirmed there already stays as they are. Raises `CannotAdd` or
    `ProfileError`."""
    profile = _profile(newcomer, mailing_list)
    identity = newcomer.address.identity
    if suppress.which(session, settings, [identity]):
        raise CannotAdd("this address is kept from all mail")
    there = find_address(session, mailing_list.id, identity)
    before = there.state if there is not None else None
    if there is not None and before is State.CONFIRMED:
        return Added(there.id, there.state, changed=False)
    if before in _WHY_NOT:
        raise CannotAdd(_WHY_NOT[before])
    if newcomer.statement is not None:
        _confirm(session, now, seen, mailing_list, newcomer, profile)
    else:
        sign_up = SignUp(
            mailing_list.slug,
            newcomer.address,
            profile["name"],
            profile["locale"],
            seen,
            verdict=Verdict(Answer.TAKE),
        )
        subscribe(session, settings, now, [sign_up])
    added = find_address(session, mailing_list.id, identity)
    assert added is not None
    if newcomer.statement is None and before is None and newcomer.attributes and not added.elsewhere:
        session.execute(
            update(_SUBSCRIBERS)
            .where(_SUBSCRIBERS.c.id == added.subscriber_id)
            .values(attributes=profile["attributes"])
        )
    audit.record(
        session,
        now,
        actor,
        "subscriber.added",
        list_id=mailing_list.id,
        subject=str(added.id),
        state=added.state.value,
    )
    return Added(added.id, added.state, changed=True)


def _profile(newcomer: Newcomer, mailing_list: ListView) -> dict[str, Any]:
    statement = newcomer.statement
    if statement is not None:
        if not statement.strip():
            raise ProfileError("say where the consent came from, such as: signed at our stand on 2 May")
        if len(statement) > LONGEST_STATEMENT or not is_one_line(" ".join(statement.split())):
            raise ProfileError(f"the statement has at most {LONGEST_STATEMENT} characters, none of control")
    locale = languages.known(newcomer.locale)
    if newcomer.locale and locale is None:
        raise ProfileError(f"the language must be one of {', '.join(languages.LANGUAGES)}")
    return {
        "name": parse_name(newcomer.name),
        "locale": locale or languages.choose(None, mailing_list.locale, ()),
        "attributes": check_attributes(dict(newcomer.attributes)),
    }


def _confirm(
    session: Session,
    now: datetime,
    seen: Seen,
    mailing_list: ListView,
    newcomer: Newcomer,
    profile: dict[str, Any],
) -> None:
    """Store somebody as confirmed, with the statement as the words of their consent."""
    address = newcomer.address
    person = {
        "id": new_id(now),
        "address": address.text,
        "identity": address.identity,
        "search": search_text(address.text, profile["name"]),
        "created_at": now,
    }
    _ADD_PERSON.run(session, [person | profile])
    # Whoever signs up at this moment waits for the person's row.
    subscriber_id = session.execute(
        select(_SUBSCRIBERS.c.id).where(_SUBSCRIBERS.c.identity == address.identity).with_for_update()
    ).scalar()
    if subscriber_id is None:
        raise Conflict("a subscriber was purged while they were added")
    # And whoever leaves at this moment, for the subscription's.
    session.execute(
        select(_SUBSCRIPTIONS.c.id)
        .where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id, _SUBSCRIPTIONS.c.list_id == mailing_list.id)
        .with_for_update()
    )
    there = find_address(session, mailing_list.id, address.identity)
    before = there.state if there is not None else None
    after = IMPORTS[before][State.CONFIRMED]
    subscription_id = there.id if there is not None else new_id(now)
    if there is None:
        session.execute(
            insert(_SUBSCRIPTIONS),
            [
                {
                    "id": subscription_id,
                    "subscriber_id": subscriber_id,
                    "list_id": mailing_list.id,
                    "state": after.value,
                    "generation": 1,
                    "source": seen.way,
                    "created_at": now,
                    "asked_at": now,
                    "confirmed_at": now,
                }
            ],
        )
    elif after is not before:
        evidence.change(
            session, [{"subscription": subscription_id, "state": after.value, "confirmed_at": now}]
        )
        outbox.cancel_for(session, [subscription_id])
    assert newcomer.statement is not None
    words = "\n".join(newcomer.statement.split("\r\n")).strip()
    digest = sha256(words.encode()).hexdigest()
    _ADD_WORDING.run(session, [{"digest": digest, "text": words}])
    evidence.record(
        session,
        [
            evidence.event_row(
                mailing_list.id, subscription_id, Event.IMPORT, now, seen,
                before=before, after=after, wording=digest,
            )
        ],
    )  # fmt: skip


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
_ADD_PERSON = Query(
    insert_missing(_SUBSCRIBERS, "identity"),
    columns=("id", "address", "identity", "name", "search", "locale", "attributes", "created_at"),
)
_ADD_WORDING = Query(insert_missing(table_of(Wording)), columns=("digest", "text"))
