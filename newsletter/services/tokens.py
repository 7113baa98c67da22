"""Tokens for the API (checklist O4): shown once, kept as a hash, for some kinds of work on some lists."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import rfc3339, table_of
from newsletter.domain.ids import new_id
from newsletter.domain.roles import Scope
from newsletter.models import ApiToken
from newsletter.services import audit
from newsletter.services.access import Actor, TooMuch

PREFIX = "nlt_"
_TOUCH = timedelta(minutes=1)  # how exactly it is known when a token was last used


class TokenError(Exception):
    """A token cannot be made or found as asked. The message says why, in one line."""


class BadToken(Exception):
    """This token opens nothing: it is `unknown`, `revoked` or `expired`. The message says so."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class TokenView:
    """A token, as the other rooms see it. `lists` are those that it may see; None is all."""

    id: UUID
    hint: str
    name: str
    scopes: frozenset[Scope]
    lists: frozenset[UUID] | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def actor(self, network: str | None = None) -> Actor:
        """Who it is to the rest of the service."""
        name = f"token {self.hint} ({self.name})"
        return Actor(name, self.scopes, self.lists, network, until=self.expires_at)


def add(
    session: Session,
    now: datetime,
    actor: Actor,
    *,
    name: str,
    scopes: Collection[Scope],
    lists: Collection[UUID] | None,
    life: timedelta | None,
) -> tuple[TokenView, str]:
    """Make a token; returns it and its text, which is known to nobody afterwards. Raises `TokenError`, and
    `TooMuch` where it could do what the actor cannot, or outlive them."""
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise TokenError(
            "a token needs a name of one line and at most 200 characters, such as who will use it"
        )
    if not scopes:
        raise TokenError(f"a token needs something that it may do: {', '.join(Scope)}")
    actor.must_cover(scopes, lists)
    expires_at = now + life if life is not None else None
    if actor.until is not None and (expires_at is None or expires_at > actor.until):
        raise TooMuch(f"this would outlive what makes it, which ends at {rfc3339(actor.until)}")
    text = PREFIX + secrets.token_urlsafe(32)
    identifier = new_id(now)
    session.execute(
        insert(_TOKENS),
        [
            {
                "id": identifier,
                "digest": _digest(text),
                "hint": text[:12],
                "name": name,
                "scopes": sorted(scopes),
                "lists": sorted(one.hex for one in lists or ()),
                "all_lists": lists is None,
                "created_by": actor.name,
                "created_at": now,
                "expires_at": expires_at,
            }
        ],
    )
    audit.record(session, now, actor, "token.added", subject=f"{text[:12]} ({name})", scopes=sorted(scopes))
    return _must_find(session, identifier), text


def revoke(session: Session, now: datetime, actor: Actor, token_id: UUID) -> TokenView:
    """End a token at once, and what was made with it; doing so twice changes nothing. Raises `TokenError`."""
    found = _must_find(session, token_id)
    if found.revoked_at is None:
        session.execute(update(_TOKENS).where(_TOKENS.c.id == token_id).values(revoked_at=now))
        audit.record(session, now, actor, "token.revoked", subject=f"{found.hint} ({found.name})")
        revoke_beyond(session, now, actor, made_by=found.actor().name, scopes=(), lists=None)
    return _must_find(session, token_id)


def revoke_beyond(
    session: Session,
    now: datetime,
    actor: Actor,
    *,
    made_by: str,
    scopes: Collection[Scope],
    lists: Collection[UUID] | None,
) -> None:
    """Revoke what may do more than whoever made it now may, on these lists (None is all): they know its text.
    What was made with such a token was made by them, too."""
    makers = {made_by}
    for token in reversed(every(session)):
        if token.created_by in makers:
            makers.add(token.actor().name)
            sees_more = lists is not None and (token.lists is None or not token.lists <= set(lists))
            if sees_more or not token.scopes <= set(scopes):
                revoke(session, now, actor, token.id)


def every(session: Session) -> list[TokenView]:
    """All tokens, the newest first."""
    return _views(session, _TOKENS.c.id.is_not(None))


def page(session: Session, before: UUID | None, limit: int) -> list[TokenView]:
    """The newest tokens that are older than one of them."""
    which = _TOKENS.c.id < before if before is not None else _TOKENS.c.id.is_not(None)
    return _views(session, which, limit)


def find(session: Session, token_id: UUID) -> TokenView | None:
    """The token with this id."""
    return next(iter(_views(session, _TOKENS.c.id == token_id)), None)


def authenticate(session: Session, now: datetime, text: str) -> TokenView:
    """The token whose text this is. Raises `BadToken`."""
    found = next(iter(_views(session, _TOKENS.c.digest == _digest(text))), None)
    if found is None:
        raise BadToken("unknown", "This token is unknown.")
    if found.revoked_at is not None:
        raise BadToken("revoked", "This token was revoked.")
    if found.expires_at is not None and found.expires_at <= now:
        raise BadToken("expired", "This token has expired.")
    return found


def wants_touch(token: TokenView, now: datetime) -> bool:
    """Whether it is time to note that a token is in use."""
    return token.last_used_at is None or now - token.last_used_at > _TOUCH


def touch(session: Session, now: datetime, token_id: UUID) -> None:
    """Note that a token is in use."""
    session.execute(update(_TOKENS).where(_TOKENS.c.id == token_id).values(last_used_at=now))


def _must_find(session: Session, token_id: UUID) -> TokenView:
    found = find(session, token_id)
    if found is None:
        raise TokenError("there is no such token")
    return found


def _views(session: Session, which: Any, limit: int | None = None) -> list[TokenView]:
    rows: Sequence[Any] = session.execute(
        select(_TOKENS).where(which).order_by(_TOKENS.c.id.desc()).limit(limit)
    ).all()
    return [
        TokenView(
            id=row.id,
            hint=row.hint,
            name=row.name,
            scopes=frozenset(map(Scope, row.scopes)),
            lists=None if row.all_lists else frozenset(map(UUID, row.lists)),
            created_by=row.created_by,
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
        )
        for row in rows
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


_TOKENS = table_of(ApiToken)
