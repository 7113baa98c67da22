"""Taking what providers report of our mail: matched with the mail it is about, then taken as any return is.

A provider's signature proves who speaks, not that it speaks of our mail: an account may send for others, too.
So a report counts only where it carries the id of a mail in the outbox and names the one who got that mail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.bounce_policy import precise
from newsletter.domain.provider_events.report import Report
from newsletter.domain.returns import Return, ReturnKind, bounce_key
from newsletter.domain.suppressing import digests
from newsletter.models import OutboxMessage, Subscriber, Subscription
from newsletter.queries import Query, among
from newsletter.services.counting import DatabaseStorage
from newsletter.services.take_return import take_return
from newsletter.settings import Settings

# What becomes of a report that is not taken, beside what becomes of a return.
NOT_OURS = "not_ours"  # no mail in the outbox, or not any more
SOMEBODY_ELSE = "somebody_else"  # it names another address than the mail went to
REPLAYED = "replayed"
# What was reported, and what became of it.
Became = tuple[ReturnKind, str]


@dataclass(frozen=True)
class Token:
    """What a request may be made with once. It is remembered for `life`, and has expired by then."""

    text: str
    life: timedelta


@dataclass(frozen=True)
class Delivery:
    """What one request of a provider tells."""

    provider: str
    reports: tuple[Report, ...]
    token: Token | None = None


def take_reports(
    session: Session, settings: Settings, now: datetime, deliveries: Sequence[Delivery]
) -> list[Counter[Became]]:
    """Take what is about our mail; returns for each delivery how many of its reports became what."""
    spent = DatabaseStorage(session, now)
    spent.hold(_key(delivery) for delivery in deliveries if delivery.token)
    recipients = _recipients(session, deliveries)
    results = []
    for delivery in deliveries:
        if delivery.token and spent.incr(_key(delivery), int(delivery.token.life.total_seconds())) > 1:
            results.append(Counter((report.kind, REPLAYED) for report in delivery.reports))
            continue
        # In one order, so that two at the same time do not wait for each other.
        reports = sorted(delivery.reports, key=lambda report: str(report.mail_id))
        results.append(
            Counter(
                (report.kind, _take(session, settings, now, delivery.provider, report, recipients))
                for report in reports
            )
        )
    spent.save()
    return results


def _take(
    session: Session,
    settings: Settings,
    now: datetime,
    provider: str,
    report: Report,
    recipients: dict[UUID, Row[Any]],
) -> str:
    if report.mail_id is None or report.mail_id not in recipients:
        return NOT_OURS
    if not _went_to(settings, recipients[report.mail_id], report.address):
        return SOMEBODY_ELSE
    # A relay's refusal, a mail and an event may all tell of one bounce.
    is_bounce = report.kind is ReturnKind.BOUNCE
    key = bounce_key(report.mail_id, precise(report.status, report.diagnostic)) if is_bounce else report.key
    ret = Return(
        report.kind,
        key,
        provider,
        outbox_id=report.mail_id,
        address=report.address,
        status=report.status,
        diagnostic=report.diagnostic,
    )
    return take_return(session, settings, now, ret).value


def _went_to(settings: Settings, recipient: Row[Any], address: str) -> bool:
    identity = _identity(address)
    if identity is None or recipient.sent_to is None:
        return bool(identity == recipient.identity)
    return recipient.sent_to in digests(identity, (*settings.retired_keys, *settings.secret_keys))


def _recipients(session: Session, deliveries: Sequence[Delivery]) -> dict[UUID, Row[Any]]:
    """Who got each mail that is spoken of, and where it went."""
    ids = {report.mail_id for delivery in deliveries for report in delivery.reports if report.mail_id}
    return {row.id: row for row in _RECIPIENTS.rows(session, ids=sorted(ids))} if ids else {}


def _identity(address: str) -> str | None:
    try:
        return parse_address(address).identity
    except AddressError:
        return None


def _key(delivery: Delivery) -> str:
    return f"spent:{delivery.provider}:{delivery.token.text}" if delivery.token else ""


_OUTBOX, _SUBSCRIPTIONS, _SUBSCRIBERS = table_of(OutboxMessage), table_of(Subscription), table_of(Subscriber)
_RECIPIENTS = Query(
    select(_OUTBOX.c.id, _OUTBOX.c.sent_to, _SUBSCRIBERS.c.identity)
    .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _OUTBOX.c.subscription_id)
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .where(among(_OUTBOX.c.id, "ids"))
)
