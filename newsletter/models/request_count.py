"""How many requests a network made in a stretch of time: limits hold over all processes and machines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class RequestCount(Base):
    """`key` names what is counted and the network (an IPv4 address, an IPv6 /64)."""

    __tablename__ = "request_counts"

    key: Mapped[str] = mapped_column(String(96), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    hits: Mapped[int]
