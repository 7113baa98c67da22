"""What came back of our mail, and the alarms that it raised."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class MailReturn(Base):
    """One thing that came back, once: by `key`, newsletter.domain.returns.Return.digest, a replay is known.
    What it said is not kept: that holds addresses."""

    __tablename__ = "mail_returns"
    __table_args__ = (Index(None, "subscriber_id", "verdict", "at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    subscriber_id: Mapped[UUID] = mapped_column(ForeignKey("subscribers.id", ondelete="CASCADE"))
    outbox_id: Mapped[UUID | None]
    kind: Mapped[str] = mapped_column(String(16))  # newsletter.domain.returns.ReturnKind
    verdict: Mapped[str | None] = mapped_column(String(16))  # newsletter.domain.bounce_policy.Verdict
    status: Mapped[str | None] = mapped_column(String(16))
    way: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]


class Alarm(Base):
    """Something that only an operator can put right. It began at `since` and was last seen at `last_at`; it
    is over when it has not been seen for a while (newsletter.services.alarms)."""

    __tablename__ = "alarms"

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    since: Mapped[datetime]
    last_at: Mapped[datetime]
    number: Mapped[int]
    detail: Mapped[str] = mapped_column(String(300))
