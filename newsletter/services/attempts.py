"""The results of delivery attempts: what became of a claimed message, written while its claim lasts.

A claim that another worker has by now is that one's: nothing is written over it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.suppressing import digest_of
from newsletter.models import OutboxMessage
from newsletter.models.outbox import Status
from newsletter.queries import Query, among
from newsletter.services.deliver import Claimed
from newsletter.settings import Settings


def still_wanted(session: Session, message: Claimed) -> bool:
    """Whether the message is still ours to send: asked right before DATA (checklist U12)."""
    return bool(_WANTED.rows(session, message=message.id, lease=message.lease_id))


def extend(
    session: Session, settings: Settings, now: datetime, messages: Collection[UUID], *, lease_id: UUID
) -> None:
    """Keep a living worker's claims from coming due."""
    _EXTEND.run(
        session, [{"ids": list(messages), "lease": lease_id, "next_attempt_at": now + settings.outbox_lease}]
    )


def record_sent(session: Session, settings: Settings, now: datetime, message: Claimed) -> None:
    """The relay took it; true even where it was cancelled while the relay had it already."""
    _SENT.run(
        session,
        [
            {
                "message": message.id,
                "lease": message.lease_id,
                "sent_at": now,
                "status": Status.SENT.value,
                "sent_to": digest_of(message.address, settings.secret_keys),
            }
        ],
    )


def record_retry(session: Session, message: Claimed, *, at: datetime, error: str) -> None:
    """The relay wants it later."""
    _record(session, message, status=Status.AWAITING_RETRY.value, next_attempt_at=at, last_error=error)


def record_failure(session: Session, message: Claimed, *, error: str) -> None:
    """It will not be sent."""
    _record(session, message, status=Status.FAILED.value, last_error=error)


def release(session: Session, messages: Sequence[tuple[Claimed, datetime]]) -> None:
    """Give back claims that were not tried, each to be due at its moment, for any worker."""
    _RELEASE.run(
        session,
        [{"message": message.id, "lease": message.lease_id, "due": at} for message, at in messages],
    )


def _record(session: Session, message: Claimed, **values: Any) -> None:
    """Write a result, unless the message was cancelled or another worker holds it by now."""
    session.connection().execute(
        update(_OUTBOX)
        .where(
            _OUTBOX.c.id == message.id,
            _OUTBOX.c.lease_id == message.lease_id,
            _OUTBOX.c.status == Status.INFLIGHT.value,
        )
        .values(**values)
    )


_OUTBOX = table_of(OutboxMessage)
_OURS = (_OUTBOX.c.id == bindparam("message"), _OUTBOX.c.lease_id == bindparam("lease"))
_WANTED = Query(select(_OUTBOX.c.id).where(*_OURS, _OUTBOX.c.status == Status.INFLIGHT.value))
_EXTEND = Query(
    update(_OUTBOX).where(
        among(_OUTBOX.c.id, "ids"),
        _OUTBOX.c.lease_id == bindparam("lease"),
        text("status = 'inflight'"),
    ),
    columns=("next_attempt_at",),
)
_RELEASE = Query(
    update(_OUTBOX)
    .where(*_OURS, text("status = 'inflight'"))
    .values(
        status=Status.QUEUED.value,
        next_attempt_at=bindparam("due"),
        attempts=_OUTBOX.c.attempts - 1,
        lease_id=None,
    )
)
_SENT = Query(
    update(_OUTBOX).where(*_OURS, text("status IN ('inflight', 'cancelled')")),
    columns=("status", "sent_at", "last_error", "sent_to"),
)
