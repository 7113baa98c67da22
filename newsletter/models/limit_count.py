"""What limits count: how often something happened in a stretch of time, over all processes and machines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class LimitCount(Base):
    """`key` names what is counted. A count that has expired counts for nothing."""

    __tablename__ = "limit_counts"
    __table_args__ = (Index(None, "expires_at"),)

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    hits: Mapped[int]
    starts_at: Mapped[datetime]
    expires_at: Mapped[datetime]
