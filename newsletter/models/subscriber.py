"""A subscriber: one person's address, whatever lists they are on."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Subscriber(Base):
    """`address` is where mail goes; `identity` decides who is the same person (checklist A18)."""

    __tablename__ = "subscribers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320))
    # Computed in Python: the databases fold letters outside ASCII differently, or not at all.
    identity: Mapped[str] = mapped_column(String(640), unique=True)
    name: Mapped[str | None] = mapped_column(String(200))
    # newsletter.domain.searching.search_text; indexed by trigrams, on each database in its own way.
    search: Mapped[str] = mapped_column(String(1600))
    locale: Mapped[str] = mapped_column(String(35))
    attributes: Mapped[dict[str, Any]]
    # Which of their addresses this is: links that were sent to an earlier one are dead.
    generation: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
