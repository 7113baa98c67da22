"""The ledger: what shows that no consent event was changed, removed or slipped in after it was stored."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class LedgerPage(Base):
    """A line for each event of a list that was numbered at the same time, and `link`, which chains the page
    to the one before (newsletter.domain.ledger). Lines stay when events are erased, and tell nothing of them
    then: an event's salt, in its place in `salts`, goes with it."""

    __tablename__ = "ledger_pages"

    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"), primary_key=True)
    # Of its last line.
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    # So many lines the list has up to here.
    entries: Mapped[int] = mapped_column(BigInteger)
    lines: Mapped[bytes] = mapped_column(LargeBinary)
    salts: Mapped[bytes] = mapped_column(LargeBinary)
    link: Mapped[bytes] = mapped_column(LargeBinary)


class LedgerHead(Base):
    """How far the pages of a list go, sealed: without it, pages could be cut off at the end."""

    __tablename__ = "ledger_heads"

    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    entries: Mapped[int] = mapped_column(BigInteger)
    link: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[bytes] = mapped_column(LargeBinary)
