"""The log of what a webhook was told, and telling it once more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.ids import new_id
from newsletter.domain.webhooks import TEST
from newsletter.models import WebhookDelivery
from newsletter.models.outbox import Status
from newsletter.services import audit, webhooks
from newsletter.services.access import Actor
from newsletter.services.webhooks import WebhookError, WebhookView


@dataclass(frozen=True)
class DeliveryView:
    """One message to a webhook, and what became of it. `answer` is the HTTP status of the last one."""

    id: UUID
    message_id: str
    type: str
    seq: int | None
    subscription_id: UUID | None
    state: str | None
    happened_at: datetime
    status: Status
    attempts: int
    next_attempt_at: datetime
    answer: int | None
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.status in (Status.QUEUED, Status.INFLIGHT, Status.AWAITING_RETRY)


def read(session: Session, webhook_id: UUID, *, before: UUID | None, limit: int) -> list[DeliveryView]:
    """Up to `limit` messages, the newest first; those older than the one whose id is `before`."""
    query = select(*_COLUMNS).where(_DELIVERIES.c.webhook_id == webhook_id)
    if before is not None:
        query = query.where(_DELIVERIES.c.id < before)
    rows = session.connection().execute(query.order_by(_DELIVERIES.c.id.desc()).limit(limit))
    return [_view(row) for row in rows]


def send_again(
    session: Session, now: datetime, actor: Actor, webhook: WebhookView, delivery_id: UUID
) -> UUID | None:
    """Tell it once more, under the same message id; returns the new delivery's own. None where there is no
    such message. Raises `WebhookError`."""
    _refuse_disabled(webhook)
    rows = session.connection().execute(
        select(*_COLUMNS).where(_DELIVERIES.c.webhook_id == webhook.id, _DELIVERIES.c.id == delivery_id)
    )
    row = rows.first()
    if row is None:
        return None
    again = new_id(now)
    told = {name: getattr(row, name) for name in ("message_id", "seq", "subscription_id", "state")}
    fresh = webhooks.delivery_row(again, webhook.id, now, kind=row.type, happened_at=row.happened_at, **told)
    webhooks.put_down(session, [fresh])
    _note(session, now, actor, webhook, "replayed", message=row.message_id)
    return again


def send_test(session: Session, now: datetime, actor: Actor, webhook: WebhookView) -> UUID:
    """Tell it something that means nothing, to see whether it arrives. Raises `WebhookError`."""
    _refuse_disabled(webhook)
    test = new_id(now)
    webhooks.put_down(session, [webhooks.delivery_row(test, webhook.id, now, kind=TEST, happened_at=now)])
    _note(session, now, actor, webhook, "tested")
    return test


def _refuse_disabled(webhook: WebhookView) -> None:
    if webhook.disabled_at is not None:
        raise WebhookError("This webhook is switched off: switch it on first.", "")


def _note(
    session: Session, now: datetime, actor: Actor, webhook: WebhookView, deed: str, **details: Any
) -> None:
    audit.record(
        session, now, actor, f"webhook.{deed}", list_id=webhook.list_id, subject=str(webhook.id), **details
    )


def _view(row: Row[Any]) -> DeliveryView:
    values = row._asdict()
    return DeliveryView(**values | {"status": Status(values["status"])})


_DELIVERIES = table_of(WebhookDelivery)
_COLUMNS = tuple(
    _DELIVERIES.c[name]
    for name in (
        "id", "message_id", "type", "seq", "subscription_id", "state", "happened_at", "status", "attempts",
        "next_attempt_at", "answer", "last_error", "created_at", "delivered_at",
    )
)  # fmt: skip
