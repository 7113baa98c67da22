"""What mail scanners do: how often links of our mails were opened without a button being pressed."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Scan(Base):
    """How often, on a day (UTC), a door was looked at by a kind of visitor, so long after the mail was sent
    (newsletter.domain.scanners). `effect` tells whether its button would have changed something. It
    names nobody, and no link."""

    __tablename__ = "scans"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    door: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    delay: Mapped[str] = mapped_column(String(16), primary_key=True)
    effect: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
