"""A fresh confirmation for whoever holds an expired link: the link proves that the mailbox is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.domain.inboxes import Inbox, inbox_of
from newsletter.domain.lifecycle import State
from newsletter.domain.resending import may_mail
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.models.outbox import Kind
from newsletter.services import lists, outbox
from newsletter.services.lists import ListView
from newsletter.services.subscribe import MAIL_KINDS
from newsletter.settings import Settings


@dataclass(frozen=True)
class Renewal:
    """Where the fresh link goes, for the page."""

    list: ListView
    address: str

    @property
    def inbox(self) -> Inbox | None:
        return inbox_of(self.address)


def renew(
    session: Session, settings: Settings, now: datetime, subscription_ids: Sequence[UUID]
) -> list[Renewal | None]:
    """Queue a fresh confirmation for each subscription that still waits for one, within the bounds of D9.

    Returns None for one that was purged or erased.
    """
    rows = {
        row[Subscription.id]: row
        for row in session.execute(
            select(
                Subscription.id,
                Subscription.state,
                Subscription.generation,
                Subscriber.address,
                *lists.COLUMNS,
            )
            .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
            .join(MailingList, MailingList.id == Subscription.list_id)
            .where(Subscription.id.in_(set(subscription_ids)))
            .order_by(Subscription.id)
            .with_for_update(of=Subscription)
        ).mappings()
    }
    past = outbox.histories(session, list(rows), now, kinds=MAIL_KINDS)
    mails = []
    for identifier, row in rows.items():
        history = past[identifier]
        waits = State(row[Subscription.state]) is State.PENDING and not history.waiting
        if waits and may_mail(history.mailed, now=now, consented_at=None):
            mails.append(
                outbox.message_row(
                    identifier,
                    Kind.CONFIRMATION,
                    now,
                    due=now,
                    sender_domain=lists.view(row).sender_or(settings.mail_from).domain,
                    occasion=f"{row[Subscription.generation]}.{len(history.mailed)}",
                )
            )
    outbox.enqueue(session, mails)
    return [
        Renewal(lists.view(rows[identifier]), rows[identifier][Subscriber.address])
        if identifier in rows
        else None
        for identifier in subscription_ids
    ]
