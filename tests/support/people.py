"""Subscribers put straight into the database, many at a time, with the evidence that they would have left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from newsletter.database import table_of, write_transaction
from newsletter.domain.addresses import fold
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import Event, State
from newsletter.domain.searching import search_text
from newsletter.extensions import db
from newsletter.models import Subscriber, Subscription
from newsletter.services import evidence, lists
from newsletter.services.evidence import Seen
from tests.support.service import Service, now

_AFTER = {
    State.UNSUBSCRIBED: Event.UNSUBSCRIBE,
    State.BOUNCED: Event.BOUNCE,
    State.COMPLAINED: Event.COMPLAIN,
}


@dataclass(frozen=True)
class Person:
    """Somebody on a list. `at` is when they signed up; an hour later they confirmed, a day later they went."""

    address: str
    name: str | None = None
    state: State = State.CONFIRMED
    source: str = "form"
    locale: str = "en"
    attributes: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


def add_people(service: Service, people: Iterable[Person], slug: str = "daily") -> list[UUID]:
    """Store them; returns the ids of their subscriptions, in order."""
    subscribers: list[dict[str, Any]] = []
    subscriptions: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    with service.app.app_context():
        session = db.session()
        mailing_list = lists.find(session, slug)
        assert mailing_list is not None
        moment = now()
        for number, person in enumerate(people):
            at = person.at or moment + timedelta(milliseconds=number)
            subscriber, subscription = new_id(at), new_id(at)
            local, _, domain = person.address.rpartition("@")
            subscribers.append(
                {
                    "id": subscriber,
                    "address": person.address,
                    "identity": f"{fold(local)}@{domain}",
                    "name": person.name,
                    "search": search_text(person.address, person.name),
                    "locale": person.locale,
                    "attributes": person.attributes,
                    "created_at": at,
                }
            )
            confirmed = at + timedelta(hours=1) if person.state is not State.PENDING else None
            left = at + timedelta(days=1) if person.state is State.UNSUBSCRIBED else None
            subscriptions.append(
                {
                    "id": subscription,
                    "subscriber_id": subscriber,
                    "list_id": mailing_list.id,
                    "state": person.state.value,
                    "generation": 1,
                    "source": person.source,
                    "created_at": at,
                    "asked_at": at,
                    "confirmed_at": confirmed,
                    "unsubscribed_at": left,
                }
            )
            events += _events(mailing_list.id, subscription, person, at)
        with write_transaction(session):
            for table, rows in ((Subscriber, subscribers), (Subscription, subscriptions)):
                session.execute(insert(table_of(table)), rows)
            evidence.record(session, sorted(events, key=lambda event: event["at"]))
    return [row["id"] for row in subscriptions]


def _events(list_id: UUID, subscription: UUID, person: Person, at: datetime) -> list[dict[str, Any]]:
    seen = Seen(person.source, network="192.0.2.7", agent="Mozilla/5.0")
    steps: list[tuple[Event, State | None, State, timedelta]] = [
        (Event.SIGN_UP, None, State.PENDING, timedelta())
    ]
    if person.state is not State.PENDING:
        steps.append((Event.CONFIRM, State.PENDING, State.CONFIRMED, timedelta(hours=1)))
    if person.state in _AFTER:
        steps.append((_AFTER[person.state], State.CONFIRMED, person.state, timedelta(days=1)))
    return [
        evidence.event_row(list_id, subscription, kind, at + later, seen, before=before, after=after)
        for kind, before, after, later in steps
    ]
