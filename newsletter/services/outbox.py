"""Putting mail into the outbox, and taking it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, func, or_, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.ids import new_id
from newsletter.domain.resending import COOL_DOWN, MEMORY
from newsletter.models import OutboxMessage, Subscription
from newsletter.models.outbox import ABOUT_ADDRESSES, IS_OPEN, LANES, OPEN, Kind, Lane, Status
from newsletter.queries import Query, among, insert_missing


@dataclass
class History:
    """The mails of one subscription that count against its budgets: when each was sent (or made,
    where it has not been sent), and whether one is still waiting to be sent; whether that goes
    behind what visitors wait for."""

    mailed: list[datetime] = field(default_factory=list)
    waiting: bool = False
    is_behind: bool = False


def histories(
    session: Session, subscription_ids: Collection[UUID], now: datetime, *, kinds: Sequence[Kind]
) -> dict[UUID, History]:
    """The history of each subscription, for mails of `kinds`; cancelled ones were never sent."""
    found: dict[UUID, History] = defaultdict(History)
    for subscription_id, status, mailed_at, lane in _MAILED.rows(
        session, ids=list(subscription_ids), since=now - MEMORY, kinds=[kind.value for kind in kinds]
    ):
        found[subscription_id].mailed.append(mailed_at)
        found[subscription_id].waiting |= status in OPEN
        found[subscription_id].is_behind |= status == Status.QUEUED and lane != Lane.INTERACTIVE
    return found


def message_row(
    subscription_id: UUID,
    kind: Kind,
    now: datetime,
    *,
    due: datetime,
    sender_domain: str,
    generation: int = 0,
    change_id: UUID | None = None,
) -> dict[str, Any]:
    """One message for `enqueue`. A second one of its kind, for the same sign-up and in the same stretch of
    cool-down, is the same message."""
    identifier = new_id(now)
    stretch = int(due.timestamp() // COOL_DOWN.total_seconds())
    return {
        "id": identifier,
        "subscription_id": subscription_id,
        "kind": kind.value,
        "status": Status.QUEUED.value,
        "lane": LANES[kind].value,
        "attempts": 0,
        "next_attempt_at": due,
        "message_id": f"<{identifier}@{sender_domain}>",
        "idempotency_key": f"{kind}:{change_id or subscription_id}:{generation}:{stretch}",
        "created_at": now,
        "change_id": change_id,
    }


def import_row(
    import_id: UUID, subscription_id: UUID, generation: int, *, due: datetime, sender_domain: str
) -> dict[str, Any]:
    """A confirmation for somebody who was imported. All that counts from when it was made counts from when
    it is due."""
    row = message_row(subscription_id, Kind.CONFIRMATION, due, due=due, sender_domain=sender_domain)
    return row | {
        "lane": Lane.BULK.value,
        "idempotency_key": f"{_OF_IMPORT}{import_id}:{subscription_id}:{generation}",
    }


def single_row(
    subscription_id: UUID, kind: Kind, now: datetime, *, generation: int, sender_domain: str
) -> dict[str, Any]:
    """A mail of which there is one for each sign-up and never a second, whoever else makes it."""
    row = message_row(subscription_id, kind, now, due=now, sender_domain=sender_domain)
    return row | {"idempotency_key": f"{kind}:{subscription_id}:{generation}"}


def is_for(key: str, subscription_id: UUID, generation: int) -> bool:
    """Whether a mail with this idempotency key is for sign-up number `generation` of a subscription."""
    return f":{subscription_id}:{generation}:" in f"{key}:"


def last_ask(session: Session, list_id: UUID) -> datetime | None:
    """When the last confirmation is due that imports into a list still put off."""
    due: datetime | None = session.scalar(
        select(func.max(_OUTBOX.c.next_attempt_at, type_=_OUTBOX.c.next_attempt_at.type))
        .join(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == _OUTBOX.c.subscription_id)
        .where(
            _SUBSCRIPTIONS.c.list_id == list_id,
            text(IS_OPEN),
            _OUTBOX.c.lane == Lane.BULK.value,
            is_ask_of_import(),
        )
    )
    return due


def is_ask_of_import() -> ColumnElement[bool]:
    """Whether a message asks for an import: its `created_at` is the moment for which it is put off."""
    return _OUTBOX.c.idempotency_key.startswith(_OF_IMPORT)


def waiting_asks(session: Session, import_id: UUID) -> int:
    """How many wait for an import's confirmation."""
    return session.scalar(select(func.count()).select_from(_OUTBOX).where(*_asks_of(import_id))) or 0


def cancel_asks(session: Session, import_id: UUID) -> int:
    """Take back the confirmations of an import that were not sent yet, save those that their readers asked
    for meanwhile; returns how many."""
    done = session.execute(update(_OUTBOX).where(*_asks_of(import_id)).values(status=Status.CANCELLED.value))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _asks_of(import_id: UUID) -> tuple[Any, ...]:
    return (
        text(IS_OPEN),
        _OUTBOX.c.lane == Lane.BULK.value,
        _OUTBOX.c.idempotency_key.startswith(f"{_OF_IMPORT}{import_id}:"),
    )


def hasten(session: Session, now: datetime, subscription_ids: Iterable[UUID]) -> None:
    """Send now what waits behind others: its reader asks for it, and from now on it is theirs."""
    _HASTEN.run(session, [{"ids": list(subscription_ids), "due": now}])


def enqueue(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Put messages into the outbox, in the transaction of the change that caused them; each only once."""
    _ENQUEUE.run(session, rows)


def cancel_for(session: Session, subscription_ids: Iterable[UUID]) -> None:
    """Take back what has not reached the relay's DATA yet (checklist U12). That somebody asked for a change
    of address is told nevertheless."""
    _CANCEL.run(session, [{"ids": list(subscription_ids)}])


_OF_IMPORT = "import:"  # how the idempotency keys of an import's confirmations begin
_OUTBOX, _SUBSCRIPTIONS = table_of(OutboxMessage), table_of(Subscription)
MAILED_AT = func.coalesce(_OUTBOX.c.sent_at, _OUTBOX.c.created_at)
_MAILED = Query(
    select(
        _OUTBOX.c.subscription_id,
        _OUTBOX.c.status,
        MAILED_AT.label("mailed_at"),
        _OUTBOX.c.lane,
    ).where(
        among(_OUTBOX.c.subscription_id, "ids"),
        # However long the relay was away: what still waits counts.
        or_(bindparam("since", type_=_OUTBOX.c.created_at.type) < MAILED_AT, text(IS_OPEN)),
        among(_OUTBOX.c.kind, "kinds"),
        _OUTBOX.c.status != Status.CANCELLED.value,
    )
)
_ENQUEUE = Query(
    insert_missing(_OUTBOX, "idempotency_key"),
    columns=(
        "id", "subscription_id", "kind", "status", "lane", "attempts", "next_attempt_at", "message_id",
        "idempotency_key", "created_at", "change_id",
    ),
)  # fmt: skip
_KEPT = ", ".join(f"'{kind}'" for kind in sorted(ABOUT_ADDRESSES))
_CANCEL = Query(
    update(_OUTBOX)
    .where(
        among(_OUTBOX.c.subscription_id, "ids"),
        text(f"{IS_OPEN} AND kind NOT IN ({_KEPT})"),
    )
    .values(status=Status.CANCELLED.value)
)
_HASTEN = Query(
    update(_OUTBOX)
    .where(
        among(_OUTBOX.c.subscription_id, "ids"),
        _OUTBOX.c.status == Status.QUEUED.value,
        _OUTBOX.c.lane != Lane.INTERACTIVE.value,
        text("kind IN ('confirmation', 'reminder')"),
    )
    .values(
        lane=Lane.INTERACTIVE.value,
        next_attempt_at=bindparam("due"),
        created_at=bindparam("due"),
    )
)
