"""How often an API token is used: the limit of its calls in a stretch of time, and when it was used last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import Storage
from sqlalchemy.orm import Session

from newsletter.services import tokens
from newsletter.services.counting import DatabaseStorage
from newsletter.settings import Limit, Settings


@dataclass(frozen=True)
class Use:
    """One call with a token. `touch` says that it is time to note that the token is in use."""

    token_id: UUID
    touch: bool


@dataclass(frozen=True)
class Allowance:
    """How many calls a token has left, of how many, until when; `over` where this one was too many."""

    limit: Limit
    left: int
    seconds: int
    over: bool


def count(session: Session, settings: Settings, now: datetime, uses: Sequence[Use]) -> list[Allowance]:
    """Count calls in the database, and note which tokens are in use."""
    counts, limit = DatabaseStorage(session, now), settings.api_limit
    counts.load({_key(limit, use.token_id) for use in uses})
    allowances = [count_in(counts, limit, now, use.token_id) for use in uses]
    note(session, settings, now, uses)
    counts.save()
    return allowances


def count_in(storage: Storage, limit: Limit, now: datetime, token_id: UUID) -> Allowance:
    """Count one call in a storage of the `limits` library."""
    hits = storage.incr(_key(limit, token_id), limit.seconds)
    return _allowance(storage, limit, now, token_id, hits)


def look(session: Session, limit: Limit, now: datetime, token_id: UUID) -> Allowance:
    """What would be said to one more call, counting nothing: who is over the limit costs no write."""
    counts, key = DatabaseStorage(session, now), _key(limit, token_id)
    counts.load({key})
    return _allowance(counts, limit, now, token_id, counts.get(key) + 1)


def note(session: Session, settings: Settings, now: datetime, uses: Sequence[Use]) -> list[None]:  # noqa: ARG001
    """Note which tokens are in use, where it is time to. In one order: two transactions that note the same do
    not wait for each other."""
    for token_id in sorted({use.token_id for use in uses if use.touch}):
        tokens.touch(session, now, token_id)
    return [None] * len(uses)


def _allowance(storage: Storage, limit: Limit, now: datetime, token_id: UUID, hits: int) -> Allowance:
    ends = storage.get_expiry(_key(limit, token_id))
    seconds = min(max(1, ceil(ends - now.timestamp())), limit.seconds)
    return Allowance(limit, max(0, limit.amount - hits), seconds, hits > limit.amount)


def _key(limit: Limit, token_id: UUID) -> str:
    return _item(limit).key_for(str(token_id))


def _item(limit: Limit) -> RateLimitItem:
    return RateLimitItemPerSecond(limit.amount, limit.seconds, namespace="api")
