"""Addresses that must never be mailed, as keyed hashes: they outlive the erasure of the address itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Suppression(Base):
    """`digest` is newsletter.domain.suppressing.digest of the identity key (checklist B7, D15)."""

    __tablename__ = "suppressions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    reason: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]
