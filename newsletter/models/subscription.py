"""A subscription: one subscriber on one list, and where that stands."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base

_IS_PENDING = text("state = 'pending'")
_IS_NOT_REMINDED = text("state = 'pending' AND reminded < generation")


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
        # Whom a reminder may go to, list by list, the longest waiting first.
        Index(
            "ix_subscriptions_not_reminded",
            "list_id",
            "asked_at",
            "id",
            postgresql_where=_IS_NOT_REMINDED,
            sqlite_where=_IS_NOT_REMINDED,
        ),
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
    # The last of its sign-ups, counted as `generation` does, that was reminded: never a second time.
    reminded: Mapped[int] = mapped_column(server_default="0")
    # Until then they want no mail; it ends by itself, so it may lie in the past.
    paused_until: Mapped[datetime | None]
