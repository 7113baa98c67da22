"""The outbox: one row a mail, written with the change that caused it, sent later by a worker.

The queue is a table because a mail and its reason must be stored by one commit, and because it is
the delivery log that operators look at.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Kind(StrEnum):
    """What a mail is for."""

    CONFIRMATION = "confirmation"
    ALREADY_SUBSCRIBED = "already_subscribed"
    LINKS = "links"
    REMINDER = "reminder"
    WELCOME = "welcome"
    # To a new address, that it is to be theirs; and to the one before, that this was asked for.
    ADDRESS_CHANGE = "address_change"
    ADDRESS_NOTICE = "address_notice"


# These go to the two addresses of a change, whatever becomes of the person's subscriptions.
ABOUT_ADDRESSES = frozenset({Kind.ADDRESS_CHANGE, Kind.ADDRESS_NOTICE})


class Lane(IntEnum):
    """How urgent a mail is: what is due in a lower one goes first (docs/adr/0020)."""

    INTERACTIVE = 1  # a visitor waits for it
    TRANSACTIONAL = 2  # about one person, who does not wait for it
    BULK = 3  # one of many that were made at once: an import's confirmations, reminders


# An import's confirmations are bulk, whatever they are otherwise (newsletter.services.outbox).
LANES = {
    Kind.CONFIRMATION: Lane.INTERACTIVE,
    Kind.ALREADY_SUBSCRIBED: Lane.INTERACTIVE,
    Kind.LINKS: Lane.INTERACTIVE,
    Kind.ADDRESS_CHANGE: Lane.INTERACTIVE,
    Kind.ADDRESS_NOTICE: Lane.TRANSACTIONAL,
    Kind.WELCOME: Lane.TRANSACTIONAL,
    Kind.REMINDER: Lane.BULK,
}


class Status(StrEnum):
    """A message's life."""

    QUEUED = "queued"
    INFLIGHT = "inflight"  # claimed by a worker
    AWAITING_RETRY = "awaiting_retry"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"  # its reason was gone before it was sent


OPEN = (Status.QUEUED, Status.INFLIGHT, Status.AWAITING_RETRY)
# Written out, so that both databases see that the index of what is due fits a query.
IS_OPEN = "status IN ('queued', 'inflight', 'awaiting_retry')"
IS_FAILED = "status = 'failed'"
_HAS_CHANGE = text("change_id IS NOT NULL")


class OutboxMessage(Base):
    """A mail to one subscriber. It is due while its status is open and `next_attempt_at` has come;
    for a claimed one, that is the end of the claim's lease, so a dead worker's mail comes due again."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_lane",
            "lane",
            "next_attempt_at",
            postgresql_where=text(IS_OPEN),
            sqlite_where=text(IS_OPEN),
        ),
        Index(None, "subscription_id", "created_at"),
        # What an operator looks for, however much was sent.
        Index("ix_outbox_failed", "id", postgresql_where=text(IS_FAILED), sqlite_where=text(IS_FAILED)),
        # What a change of address looks for when it is removed.
        Index("ix_outbox_change", "change_id", postgresql_where=_HAS_CHANGE, sqlite_where=_HAS_CHANGE),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    lane: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    lease_id: Mapped[UUID | None]
    # The same for every attempt, so that a mail that arrives twice is shown once (checklist S6).
    message_id: Mapped[str] = mapped_column(String(320))
    # Two transactions that would cause the same mail cannot both store it.
    idempotency_key: Mapped[str] = mapped_column(String(128), unique=True)
    # What a mail about a change of address is about: it goes to that change's addresses.
    change_id: Mapped[UUID | None] = mapped_column(ForeignKey("address_changes.id", ondelete="SET NULL"))
    last_error: Mapped[str | None] = mapped_column(Text)
    # The keyed hash of whom it was sent to: what comes back is not about an address they took since. Of a
    # mail about a change of address it stands here as soon as a worker claims it.
    sent_to: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
