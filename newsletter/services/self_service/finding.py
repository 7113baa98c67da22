"""What a subscriber's own page shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.services import lists
from newsletter.services.lists import ListView


@dataclass(frozen=True)
class Holding:
    """How the person stands with one list. `paused_until` is a moment to come, or None."""

    id: UUID
    list: ListView
    state: State
    paused_until: datetime | None


@dataclass(frozen=True)
class OwnPage:
    """A person, as their own page shows them."""

    subscriber_id: UUID
    generation: int
    address: str
    identity: str
    name: str | None
    locale: str
    holdings: tuple[Holding, ...]

    @property
    def list(self) -> ListView | None:
        """The list whose name stands over the page, where they are on no other."""
        return self.holdings[0].list if len(self.holdings) == 1 else None


def find_page(session: Session, now: datetime, subscriber_id: UUID, generation: int) -> OwnPage | None:
    """The page of a person while they have the address of that generation; None where they were erased, or
    have another address by now."""
    connection = session.connection()
    person = connection.execute(
        _PERSON.where(_SUBSCRIBERS.c.id == subscriber_id, _SUBSCRIBERS.c.generation == generation)
    ).one_or_none()
    if person is None:
        return None
    rows = connection.execute(_HOLDINGS.where(_SUBSCRIPTIONS.c.subscriber_id == subscriber_id))
    return OwnPage(
        subscriber_id,
        generation,
        person.address,
        person.identity,
        person.name,
        person.locale,
        tuple(
            Holding(
                row.subscription_id,
                lists.view(row),
                State(row.state),
                row.paused_until if row.paused_until and row.paused_until > now else None,
            )
            for row in rows
        ),
    )


_SUBSCRIBERS, _SUBSCRIPTIONS, _LISTS = table_of(Subscriber), table_of(Subscription), table_of(MailingList)
_PERSON = select(_SUBSCRIBERS.c.address, _SUBSCRIBERS.c.identity, _SUBSCRIBERS.c.name, _SUBSCRIBERS.c.locale)
_HOLDINGS = (
    select(
        _SUBSCRIPTIONS.c.id.label("subscription_id"),
        _SUBSCRIPTIONS.c.state,
        _SUBSCRIPTIONS.c.paused_until,
        *lists.COLUMNS,
    )
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
    .order_by(_LISTS.c.created_at, _LISTS.c.id)
)
