"""The evidence of consent: who was asked what, in which words, when and from where (checklist D11)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Wording(Base):
    """The exact words of a form, stored once by their SHA-256: editing a list changes no evidence."""

    __tablename__ = "wordings"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class ConsentEvent(Base):
    """One thing that happened to a subscription. Rows are added and never changed; they go only with
    the person's own data, when it is erased or was never confirmed."""

    __tablename__ = "consent_events"
    __table_args__ = (Index(None, "subscription_id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))  # newsletter.domain.lifecycle.Event
    at: Mapped[datetime]
    # By which way: page, script, one-click, ...
    way: Mapped[str] = mapped_column(String(16))
    wording: Mapped[str | None] = mapped_column(ForeignKey("wordings.digest"))
    # The site of the form, as the browser names it, and the page.
    origin: Mapped[str | None] = mapped_column(String(300))
    page: Mapped[str | None] = mapped_column(String(500))
    network: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(300))
    # The confirmation mail that this sign-up caused, if it caused one.
    message_id: Mapped[str | None] = mapped_column(String(320))
