"""A fresh confirmation for whoever holds an expired link: the link proves that the mailbox is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.domain.lifecycle import State
from newsletter.domain.resending import may_mail
from newsletter.models.outbox import Kind
from newsletter.services import outbox, subscriptions
from newsletter.services.subscribe import MAIL_KINDS
from newsletter.services.subscriptions import Found
from newsletter.settings import Settings


def renew(
    session: Session, settings: Settings, now: datetime, subscription_ids: Sequence[UUID]
) -> list[Found | None]:
    """Queue a fresh confirmation for each subscription that still waits for one, within the bounds of D9.

    Returns None for one that was purged or erased.
    """
    found = subscriptions.lock(session, set(subscription_ids))
    past = outbox.histories(session, list(found), now, kinds=MAIL_KINDS)
    mails, hastened = [], []
    for identifier, subscription in found.items():
        history = past[identifier]
        if subscription.state is not State.PENDING:
            continue
        if history.is_behind:
            hastened.append(identifier)
        elif not history.waiting and may_mail(history.mailed, now=now, consented_at=None):
            mails.append(
                outbox.message_row(
                    identifier,
                    Kind.CONFIRMATION,
                    now,
                    due=now,
                    sender_domain=subscription.list.sender_or(settings.mail_from).domain,
                    generation=subscription.generation,
                )
            )
    outbox.enqueue(session, mails)
    if hastened:
        outbox.hasten(session, now, hastened)
    return [found.get(identifier) for identifier in subscription_ids]
