"""Subscribers on their way out and in: exports and imports."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Export(Base):
    """An export that was begun, and what it came to: the proof by which a file is held against it. One that
    has no `finished_at` was cut short, and so is its file."""

    __tablename__ = "exports"
    __table_args__ = (Index(None, "list_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    list_id: Mapped[UUID | None] = mapped_column(ForeignKey("mailing_lists.id"))  # none: all lists
    actor: Mapped[str] = mapped_column(String(400))
    format: Mapped[str] = mapped_column(String(16))
    filters: Mapped[dict[str, Any]]
    columns: Mapped[list[str]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    rows: Mapped[int | None] = mapped_column(BigInteger)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))


class ImportState(StrEnum):
    """An import's life."""

    UPLOADED = "uploaded"  # the file is here; nobody has said how to read it
    CHECKING = "checking"  # the worker reads it and changes nothing
    CHECKED = "checked"  # the report is there, and the operator decides
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Import(Base):
    """A file of subscribers. The worker reads it, while its lease lasts; of a worker that died another takes
    over and begins anew, because nothing of the file is stored until all of it is."""

    __tablename__ = "imports"
    __table_args__ = (Index(None, "list_id", "id"), Index(None, "state", "lease_until"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    list_id: Mapped[UUID] = mapped_column(ForeignKey("mailing_lists.id"))
    actor: Mapped[str] = mapped_column(String(400))
    filename: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    # How it is read and what the operator states: newsletter.services.importing.
    options: Mapped[dict[str, Any]]
    # What came of it: how many rows were added, changed, left as they were, refused.
    report: Mapped[dict[str, Any]]
    rows_done: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    cancel: Mapped[bool]
    lease_id: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ImportChunk(Base):
    """A part of an import's file: in the database, so that a worker on any machine can read it. They are
    removed when the import has ended."""

    __tablename__ = "import_chunks"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ImportRefusal(Base):
    """A row of a file that was not taken, how it begins, and why. `record` is all of it: the cells of CSV as
    a JSON array, a line of any other form as it is."""

    __tablename__ = "import_refusals"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    text: Mapped[str] = mapped_column(String(400))
    reason: Mapped[str] = mapped_column(String(400))
    record: Mapped[str | None] = mapped_column(Text)
