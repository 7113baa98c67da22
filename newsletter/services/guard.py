"""Limits on sign-ups by network (checklist A2).

They depend on where a request comes from and never on what is known of an address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import Storage
from sqlalchemy.orm import Session

from newsletter.services.counting import DatabaseStorage
from newsletter.settings import Limit, Settings


@dataclass(frozen=True)
class TooOften:
    """The network has used up its limit; `seconds` until it may go on."""

    seconds: int


def hit(storage: Storage, limit: Limit, network: str | None, now: datetime) -> TooOften | None:
    """Count one sign-up of a network."""
    item, key = _item(limit), network or "unknown"
    if storage.incr(item.key_for(key), item.get_expiry()) <= item.amount:
        return None
    return TooOften(max(1, round(storage.get_expiry(item.key_for(key)) - now.timestamp())))


def exceeded(
    session: Session, settings: Settings, now: datetime, networks: Sequence[str | None]
) -> list[TooOften | None]:
    """Count one sign-up for each of `networks`, in their order; says which are over the limit."""
    limit = settings.signup_limit
    if limit is None or settings.redis_url is not None:
        return [None] * len(networks)
    storage = DatabaseStorage(session, now)
    storage.load(_item(limit).key_for(network or "unknown") for network in networks)
    answers = [hit(storage, limit, network, now) for network in networks]
    storage.save()
    return answers


def _item(limit: Limit) -> RateLimitItem:
    return RateLimitItemPerSecond(limit.amount, limit.seconds, namespace="sign-up")
