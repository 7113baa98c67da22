"""Webhooks: who wants to be told, and what was told them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base

IS_DUE = "status IN ('queued', 'inflight', 'awaiting_retry')"


class Webhook(Base):
    """An address that is told what happens to a list. `secret` signs what is sent there, and for a while
    after a rotation the one before it does, too."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "list_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"))
    url: Mapped[str] = mapped_column(String(1000))
    secret: Mapped[str] = mapped_column(String(100))
    old_secret: Mapped[str | None] = mapped_column(String(100))
    old_secret_until: Mapped[datetime | None]
    events: Mapped[list[str]]  # newsletter.domain.webhooks.Notice
    created_by: Mapped[str] = mapped_column(String(400))
    created_at: Mapped[datetime]
    # Since when nothing got through.
    failing_since: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_because: Mapped[str | None] = mapped_column(String(200))


class WebhookDelivery(Base):
    """One message to one webhook: an outbox of its own kind, and its log. `status` as in the outbox.

    It keeps ids and no more: the message is written when it is sent, from what is held then. So nothing of a
    person stays here, or is sent, once they are erased."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "ix_webhook_deliveries_due",
            "webhook_id",
            "next_attempt_at",
            "id",
            postgresql_where=text(IS_DUE),
            sqlite_where=text(IS_DUE),
        ),
        Index(None, "webhook_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    # The same for every attempt and every replay: by it, who is told twice knows (Standard Webhooks,
    # webhook-id).
    message_id: Mapped[str] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(32))
    # Of the event that is told; none for a test.
    seq: Mapped[int | None] = mapped_column(BigInteger)
    subscription_id: Mapped[UUID | None]
    state: Mapped[str | None] = mapped_column(String(16))
    happened_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[datetime]
    lease_id: Mapped[UUID | None]
    answer: Mapped[int | None] = mapped_column(Integer)  # the HTTP status of the last one
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
