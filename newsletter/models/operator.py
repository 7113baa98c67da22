"""Operators, their sessions, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.database import Base


class Operator(Base):
    """Somebody who may log in to the console. Without a password they have not accepted their invitation."""

    __tablename__ = "operators"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320))
    identity: Mapped[str] = mapped_column(String(640), unique=True)
    role: Mapped[str] = mapped_column(String(16))  # newsletter.domain.roles.Role
    all_lists: Mapped[bool]
    password_hash: Mapped[str | None] = mapped_column(String(200))
    # What the link of their invitation carries: a fresh one for each invitation, none once it was accepted.
    invitation: Mapped[str | None] = mapped_column(String(32))
    # Encrypted, and as long as the column: see newsletter.domain.second_factor.
    totp_secret: Mapped[str | None] = mapped_column(String(64))
    # The last stretch of 30 seconds whose code was used: a code counts once.
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    # Hashes of the recovery codes that were not used yet.
    recovery_codes: Mapped[list[str]]
    # Grows when what they may do, or how they log in, is changed: sessions of an earlier one have ended, and
    # so have log-ins that are half done. And why it grew last: newsletter.services.operators.Ended.
    generation: Mapped[int] = mapped_column(server_default="1")
    ended_because: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class OperatorList(Base):
    """A list that an operator may see, where they may not see all."""

    __tablename__ = "operator_lists"

    operator_id: Mapped[UUID] = mapped_column(
        ForeignKey("operators.id", ondelete="CASCADE"), primary_key=True
    )
    list_id: Mapped[UUID] = mapped_column(
        ForeignKey("mailing_lists.id", ondelete="CASCADE"), primary_key=True
    )


class OperatorSession(Base):
    """Somebody who is logged in. `digest` is the SHA-256 of what their cookie holds."""

    __tablename__ = "operator_sessions"
    __table_args__ = (Index(None, "operator_id"), Index(None, "expires_at"))

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operators.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    network: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(300))
    generation: Mapped[int] = mapped_column(server_default="1")  # the operator's, when it was opened


class AuditEvent(Base):
    """Something that an operator, an API token or a command did. Both databases refuse to change or to remove
    a row (checklist O6)."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "list_id", "id"), Index(None, "action", "id"))

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(400))
    action: Mapped[str] = mapped_column(String(64))
    list_id: Mapped[UUID | None]
    subject: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]]
    network: Mapped[str | None] = mapped_column(String(64))
