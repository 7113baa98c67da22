"""The evidence of consent: who was asked what, in which words, when and from where (checklist D11)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Wording(Base):
    """The exact words of a form, stored once by their SHA-256: editing a list changes no evidence."""

    __tablename__ = "wordings"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column(Text)


_IS_FRESH = text("seq IS NULL")


class ConsentEvent(Base):
    """One thing that happened to a subscription. Rows are added and never changed; they go only with the
    person's own data, when it is erased or was never confirmed. One of kind `forget` then stays, which tells
    nothing but that; so `subscription_id` is no reference.

    Together they are the journal of all lists: the worker numbers them by `seq` in the order in which they
    were seen to be committed (newsletter.services.journal), and whoever follows the journal misses none."""

    __tablename__ = "consent_events"
    __table_args__ = (
        Index(None, "subscription_id"),
        Index(None, "list_id", "seq"),
        Index("ix_consent_events_fresh", "id", postgresql_where=_IS_FRESH, sqlite_where=_IS_FRESH),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"))
    subscription_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(16))  # newsletter.domain.lifecycle.Event
    # The subscription's state before and after; none before its first event and after its last.
    before: Mapped[str | None] = mapped_column(String(16))
    after: Mapped[str | None] = mapped_column(String(16))
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
    seq: Mapped[int | None] = mapped_column(BigInteger)


class Journal(Base):
    """The one row that tells how far the journal is numbered, and how far what is numbered stands in the
    ledger. Whoever adds to either holds this row."""

    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    chained: Mapped[int] = mapped_column(BigInteger)


class Tally(Base):
    """How often something happened to a list on a day (UTC), counted as the journal is numbered: what a chart
    of years reads in a moment. The sum over all days of those `after`, less those `before`, is how many
    subscriptions are in a state now. An empty text stands for none."""

    __tablename__ = "tallies"

    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    before: Mapped[str] = mapped_column(String(16), primary_key=True)
    after: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
