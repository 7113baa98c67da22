"""«Send me my link»: a mail with the unsubscribe links of an address, to that address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.domain.addresses import Address
from newsletter.domain.lifecycle import State
from newsletter.domain.resending import may_mail
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.models.outbox import Kind
from newsletter.services import lists, outbox, suppress
from newsletter.settings import Settings

LISTED = (State.PENDING.value, State.CONFIRMED.value)


def send_links(
    session: Session, settings: Settings, now: datetime, addresses: Sequence[Address]
) -> list[None]:
    """Queue the mail for each address that is on a list, within the bounds of D9."""
    identities = {address.identity for address in addresses}
    identities -= suppress.which(session, settings, identities)
    people = session.execute(
        select(Subscriber.id, Subscription.id.label("subscription_id"), *lists.COLUMNS)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .join(MailingList, MailingList.id == Subscription.list_id)
        .where(Subscriber.identity.in_(sorted(identities)), Subscription.state.in_(LISTED))
        .order_by(Subscriber.identity, Subscription.id)
        .with_for_update(of=Subscriber)
    ).mappings()
    by_subscriber: dict[UUID, list[UUID]] = {}
    domains: dict[UUID, str] = {}
    for row in people:
        by_subscriber.setdefault(row[Subscriber.id], []).append(row["subscription_id"])
        domains[row["subscription_id"]] = lists.view(row).sender_or(settings.mail_from).domain
    past = outbox.histories(session, list(domains), now, kinds=[Kind.LINKS])
    mails = []
    for subscription_ids in by_subscriber.values():
        mailed = [sent for identifier in subscription_ids for sent in past[identifier].mailed]
        waiting = any(past[identifier].waiting for identifier in subscription_ids)
        if not waiting and may_mail(mailed, now=now, consented_at=None):
            # The mail goes out on behalf of one subscription and lists them all.
            mails.append(
                outbox.message_row(
                    subscription_ids[-1],
                    Kind.LINKS,
                    now,
                    due=now,
                    sender_domain=domains[subscription_ids[-1]],
                    occasion=f"{int(now.timestamp())}",
                )
            )
    outbox.enqueue(session, mails)
    return [None for _ in addresses]
