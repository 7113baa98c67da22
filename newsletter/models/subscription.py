"""A subscription: one subscriber on one list, and where that stands."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base

_IS_PENDING = text("state = 'pending'")


class Subscription(Base):
    """`state` moves only by newsletter.domain.lifecycle. `generation` counts the sign-ups that a
    confirmation link can confirm: it grows when an older link must die (checklist D6)."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "list_id"),
        Index(None, "list_id", "state", "id"),
        # However few came by one way, a page of them is one stretch of this.
        Index(None, "list_id", "source", "state", "id"),
        # What the purge looks for, however many are confirmed.
        Index("ix_subscriptions_pending", "asked_at", postgresql_where=_IS_PENDING, sqlite_where=_IS_PENDING),
    )

    # Made in time order, so an export in order of id is in order of first sign-up.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber_id: Mapped[UUID] = mapped_column(ForeignKey("subscribers.id", ondelete="CASCADE"))
    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"))
    state: Mapped[str] = mapped_column(String(16))
    generation: Mapped[int]
    source: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]
    # When it was last asked for; unconfirmed ones are purged by it.
    asked_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]
