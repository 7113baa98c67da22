"""«Send me my link»: a mail with the link to the own page of an address, to that address, and with one to
unsubscribe from each list. Who has left everywhere may still see, or erase, what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.addresses import Address
from newsletter.domain.lifecycle import State
from newsletter.domain.resending import may_mail
from newsletter.models import AddressChange, MailingList, Subscriber, Subscription
from newsletter.models.outbox import Kind
from newsletter.queries import Query, among
from newsletter.services import guard, lists, outbox, suppress
from newsletter.services.counting import DatabaseStorage
from newsletter.settings import Settings


@dataclass(frozen=True)
class LinkRequest:
    """Somebody typed an address and asks for its links."""

    address: Address
    network: str | None


def send_links(
    session: Session, settings: Settings, now: datetime, requests: Sequence[LinkRequest]
) -> list[int | None]:
    """Queue the mail for each address that is on a list, within the bounds of D9. Returns for each request
    None, or the seconds that its network must wait: nothing was done then.

    What is counted makes the work the same whether there was a mail to make or not: each ends in a write.
    """
    counts = DatabaseStorage(session, now)
    waits = guard.wait(counts, settings.signup_limit, "links", now, [asked.network for asked in requests])
    addresses = [asked.address for asked, wait in zip(requests, waits, strict=True) if wait is None]
    identities = {address.identity for address in addresses}
    identities -= suppress.which(session, settings, identities)
    people = _LISTED.rows(session, identities=sorted(identities))
    by_subscriber: dict[UUID, list[UUID]] = {}  # the last one of each is one that can be ended, if any is
    domains: dict[UUID, str] = {}
    whose = {row.subscriber_id: row for row in people}
    for row in people:
        by_subscriber.setdefault(row.subscriber_id, []).append(row.subscription_id)
        domains[row.subscription_id] = lists.view(row).sender_or(settings.mail_from).domain
    past = outbox.histories(session, list(domains), now, kinds=[Kind.LINKS])
    mails = []
    for subscriber_id, subscription_ids in by_subscriber.items():
        person = whose[subscriber_id]
        mailed = [sent for identifier in subscription_ids for sent in past[identifier].mailed]
        waiting = any(past[identifier].waiting for identifier in subscription_ids)
        # Who has just taken an address has pressed a button in it, and their links from before are dead.
        if not waiting and may_mail(mailed, now=now, consented_at=person.moved_at):
            # The mail goes out on behalf of one subscription and lists them all.
            mails.append(
                outbox.message_row(
                    subscription_ids[-1],
                    Kind.LINKS,
                    now,
                    due=now,
                    sender_domain=domains[subscription_ids[-1]],
                    generation=person.person_generation,
                )
            )
    outbox.enqueue(session, mails)
    counts.save()
    return waits


_SUBSCRIPTIONS, _SUBSCRIBERS, _LISTS = table_of(Subscription), table_of(Subscriber), table_of(MailingList)
_CHANGES = table_of(AddressChange)
_CAN_BE_ENDED = text(
    f"CASE WHEN subscriptions.state IN ('{State.PENDING}', '{State.CONFIRMED}') THEN 1 ELSE 0 END"
)
_MOVED_AT = (
    select(func.max(_CHANGES.c.made_at, type_=_CHANGES.c.made_at.type))
    .where(_CHANGES.c.subscriber_id == _SUBSCRIBERS.c.id, _CHANGES.c.new_identity == _SUBSCRIBERS.c.identity)
    .scalar_subquery()
)
_LISTED = Query(
    select(
        _SUBSCRIPTIONS.c.subscriber_id,
        _SUBSCRIPTIONS.c.id.label("subscription_id"),
        _SUBSCRIBERS.c.generation.label("person_generation"),
        _MOVED_AT.label("moved_at"),
        *lists.COLUMNS,
    )
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .join(_LISTS, _LISTS.c.id == _SUBSCRIPTIONS.c.list_id)
    .where(
        among(_SUBSCRIBERS.c.identity, "identities"),
        text(f"subscriptions.state <> '{State.COMPLAINED}'"),
    )
    .order_by(_SUBSCRIBERS.c.identity, _CAN_BE_ENDED, _SUBSCRIPTIONS.c.id)
    .with_for_update(of=_SUBSCRIBERS)
)
