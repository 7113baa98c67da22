"""Logging in to the console, and staying so (checklist O1 to O3).

Attempts are counted by network, and by account: those from one network, and all. A browser that has logged in
before, or was opened by a link for it, carries a mark of its own, and its attempts are counted apart: whoever
guesses at an account from elsewhere cannot lock its owner out."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from limits import RateLimitItem, RateLimitItemPerMinute
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.passwords import is_password
from newsletter.models import Operator, OperatorSession
from newsletter.services import audit, operators
from newsletter.services.access import Actor
from newsletter.services.counting import DatabaseStorage
from newsletter.services.evidence import Seen
from newsletter.services.operators import Ended, OperatorView

IDLE = timedelta(hours=12)
LIFE = timedelta(days=14)
_TOUCH = timedelta(minutes=5)  # how exactly it is known when a session was last used

_NETWORK = RateLimitItemPerMinute(20, 15, namespace="login-network")
_ACCOUNT = RateLimitItemPerMinute(10, 15, namespace="login-account")  # from one network
_ANYWHERE = RateLimitItemPerMinute(100, 15, namespace="login-account-anywhere")
_DEVICE = RateLimitItemPerMinute(10, 15, namespace="login-device")


class TooManyAttempts(Exception):
    """Another attempt is possible in so many seconds."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many attempts; the next is possible in {seconds} seconds")
        self.seconds = seconds


@dataclass(frozen=True)
class OpenSession:
    """Somebody who is logged in."""

    digest: str
    operator: OperatorView
    created_at: datetime
    seen_at: datetime
    network: str | None
    agent: str | None


def check_attempts(
    session: Session, now: datetime, *, network: str | None, account: str, device: str | None
) -> None:
    """Count one attempt. Raises `TooManyAttempts`. `device` is there where this browser has logged in to the
    account before."""
    counts = DatabaseStorage(session, now)
    counted: list[tuple[RateLimitItem, str]] = [(_DEVICE, device or "")]
    if device is None:
        here, whose = network or "unknown", _account_key(account)
        counted = [(_ACCOUNT, f"{whose} {here}"), (_ANYWHERE, whose), (_NETWORK, here)]
    keys = [item.key_for(name) for item, name in counted]
    counts.load(keys)
    over = [
        key
        for (item, _), key in zip(counted, keys, strict=True)
        if counts.incr(key, item.get_expiry()) > item.amount
    ]
    counts.save()
    if over:
        raise TooManyAttempts(max(1, ceil(max(map(counts.get_expiry, over)) - now.timestamp())))


def _account_key(typed: str) -> str:
    """Hashed: it is kept for whatever is typed."""
    try:
        typed = parse_address(typed).identity
    except AddressError:
        typed = typed[:400]
    return hashlib.sha256(typed.encode("utf-8", "replace")).hexdigest()[:32]


def check_password(session: Session, *, address: str, password: str) -> OperatorView | None:
    """The operator whose address and password these are; None in every other case, at the same cost. It
    takes long, and writes nothing."""
    found = operators.find_by_address(session, address)
    stored = found.password_hash if found is not None and found.disabled_at is None else None
    return found if is_password(stored, password) else None


def note_failure(session: Session, now: datetime, address: str, network: str | None) -> None:
    """Write down that address and password were wrong. What was typed is not kept: people type passwords
    into the wrong field."""
    found = operators.find_by_address(session, address)
    nobody = Actor("nobody", frozenset(), network=network)
    audit.record(session, now, nobody, "login.failed", subject=found.address if found is not None else None)


def note_wrong_code(session: Session, now: datetime, actor: Actor, operator: OperatorView) -> None:
    """Write down that a second factor was wrong: somebody may know the password."""
    audit.record(session, now, actor, "login.code_failed", subject=operator.address)


def note_wrong_password(session: Session, now: datetime, actor: Actor, operator: OperatorView) -> None:
    """Write down that somebody who is logged in could not tell the password: a console may have been left
    open."""
    audit.record(session, now, actor, "operator.password_failed", subject=operator.address)


def open_session(session: Session, now: datetime, operator: OperatorView, seen: Seen) -> str:
    """Begin a session; returns what the browser is to keep. It is of the generation in which `operator` was
    read: what was changed since has ended it before it begins."""
    key = secrets.token_urlsafe(32)
    # Those that are over are swept out by whoever comes in.
    session.execute(
        delete(_SESSIONS).where((_SESSIONS.c.expires_at <= now) | (_SESSIONS.c.seen_at <= now - IDLE))
    )
    session.execute(
        insert(_SESSIONS),
        [
            {
                "digest": digest_of(key),
                "operator_id": operator.id,
                "created_at": now,
                "seen_at": now,
                "expires_at": now + LIFE,
                "network": seen.network,
                "agent": seen.agent,
                "generation": operator.generation,
            }
        ],
    )
    session.execute(
        update(table_of(Operator)).where(table_of(Operator).c.id == operator.id).values(last_login_at=now)
    )
    audit.record(session, now, operator.actor(seen.network), "login", subject=operator.address)
    return key


def find_session(session: Session, now: datetime, key: str) -> OpenSession | None:
    """The session that this key opened, while it lasts."""
    row = session.execute(
        select(_SESSIONS).where(
            _SESSIONS.c.digest == digest_of(key),
            _SESSIONS.c.expires_at > now,
            _SESSIONS.c.seen_at > now - IDLE,
        )
    ).one_or_none()
    if row is None:
        return None
    operator = operators.find(session, row.operator_id)
    if operator is None or operator.disabled_at is not None or operator.generation != row.generation:
        return None
    return OpenSession(row.digest, operator, row.created_at, row.seen_at, row.network, row.agent)


def why_ended(session: Session, key: str) -> Ended | None:
    """Why the session that this key opened was ended; None where that is not known, or its time was over."""
    row = session.execute(
        select(_SESSIONS.c.operator_id, _SESSIONS.c.generation).where(_SESSIONS.c.digest == digest_of(key))
    ).one_or_none()
    operator = operators.find(session, row.operator_id) if row is not None else None
    if row is None or operator is None or operator.generation == row.generation:
        return None
    return operator.ended_because


def wants_touch(found: OpenSession, now: datetime) -> bool:
    """Whether it is time to note that a session is in use."""
    return now - found.seen_at > _TOUCH


def touch(session: Session, now: datetime, digest: str) -> None:
    """Note that a session is in use."""
    session.execute(update(_SESSIONS).where(_SESSIONS.c.digest == digest).values(seen_at=now))


def sessions_of(session: Session, now: datetime, operator: OperatorView) -> list[OpenSession]:
    """Where an operator is logged in, the latest first."""
    rows = session.execute(
        select(_SESSIONS)
        .where(
            _SESSIONS.c.operator_id == operator.id,
            _SESSIONS.c.generation == operator.generation,
            _SESSIONS.c.expires_at > now,
            _SESSIONS.c.seen_at > now - IDLE,
        )
        .order_by(_SESSIONS.c.seen_at.desc())
    )
    return [
        OpenSession(row.digest, operator, row.created_at, row.seen_at, row.network, row.agent) for row in rows
    ]


def end_session(session: Session, now: datetime, operator: OperatorView, digest: str, actor: Actor) -> bool:
    """Log an operator out there; returns whether they were logged in."""
    ended = session.execute(
        delete(_SESSIONS)
        .where(_SESSIONS.c.digest == digest, _SESSIONS.c.operator_id == operator.id)
        .returning(_SESSIONS.c.digest)
    ).one_or_none()
    if ended is not None:
        audit.record(session, now, actor, "logout", subject=operator.address)
    return ended is not None


def digest_of(key: str) -> str:
    """How a session's key is kept: who reads the table cannot use it."""
    return hashlib.sha256(key.encode()).hexdigest()


_SESSIONS = table_of(OperatorSession)
