"""A change of address: asked for by who has the old one, made by who has the new one. For a while the old one
can undo it. It holds both addresses, so it goes when that time is over."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class AddressChange(Base):
    """`generation` is the person's when it was asked for: after another change this one can no longer be
    made."""

    __tablename__ = "address_changes"
    __table_args__ = (Index(None, "subscriber_id"), Index(None, "new_identity"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber_id: Mapped[UUID] = mapped_column(ForeignKey("subscribers.id", ondelete="CASCADE"))
    old_address: Mapped[str] = mapped_column(String(320))
    old_identity: Mapped[str] = mapped_column(String(640))
    new_address: Mapped[str] = mapped_column(String(320))
    new_identity: Mapped[str] = mapped_column(String(640))
    generation: Mapped[int]
    requested_at: Mapped[datetime]
    made_at: Mapped[datetime | None]
    # Stopped, or taken back. It stays for its time all the same: so often was mail sent to this address.
    stopped_at: Mapped[datetime | None]
