"""Limits on sign-ups by network, counted in the transaction of the sign-ups themselves (checklist A2).

They depend on where a request comes from and never on what is known of an address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import RequestCount
from newsletter.queries import Query, among, insert_or_add
from newsletter.settings import Limit, Settings

_LONGEST_WINDOW = timedelta(days=1)


@dataclass(frozen=True)
class TooOften:
    """The network has used up its limit; `seconds` until it may go on."""

    seconds: int


def sign_up_key(network: str | None) -> str:
    """What the sign-ups of a network are counted under."""
    return f"sign-up {network or 'unknown'}"


def exceeded(
    session: Session, settings: Settings, now: datetime, networks: Sequence[str | None]
) -> list[TooOften | None]:
    """Count one sign-up for each of `networks`, in their order; says which are over the limit.

    Where limits are off or kept in Redis, nothing is counted here.
    """
    limit = settings.signup_limit
    if limit is None or settings.redis_url is not None:
        return [None] * len(networks)
    start, end = _window(limit, now)
    asked = Counter(sign_up_key(network) for network in networks)
    _ADD.run(session, [{"key": key, "starts_at": start, "hits": asked[key]} for key in sorted(asked)])
    after = {row.key: row.hits for row in _HITS.rows(session, keys=sorted(asked), starts_at=start)}
    reached = {key: after[key] - asked[key] for key in asked}
    answers: list[TooOften | None] = []
    for network in networks:
        key = sign_up_key(network)
        reached[key] += 1
        over = reached[key] > limit.amount
        answers.append(TooOften(max(1, round((end - now).total_seconds()))) if over else None)
    return answers


def note(session: Session, now: datetime, what: str, number: int) -> None:
    """Count requests that have no limit yet. It also makes the work of a request the same, whether it
    finds something to do or not: each ends in a write."""
    start, _ = _window(Limit(1, int(_LONGEST_WINDOW.total_seconds())), now)
    _ADD.run(session, [{"key": what, "starts_at": start, "hits": number}])


def forget(session: Session, now: datetime) -> None:
    """Remove counts of stretches that are long over."""
    session.execute(
        delete(RequestCount)
        .where(RequestCount.starts_at < now - 2 * _LONGEST_WINDOW)
        .execution_options(synchronize_session=False)
    )


def _window(limit: Limit, now: datetime) -> tuple[datetime, datetime]:
    """The stretch of time that `now` lies in."""
    start = int(now.timestamp()) // limit.seconds * limit.seconds
    return datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(start + limit.seconds, UTC)


_COUNTS = table_of(RequestCount)
_ADD = Query(insert_or_add(_COUNTS, "hits"), columns=("key", "starts_at", "hits"))
_HITS = Query(
    select(_COUNTS.c.key, _COUNTS.c.hits).where(
        among(_COUNTS.c.key, "keys"),
        _COUNTS.c.starts_at == bindparam("starts_at", type_=_COUNTS.c.starts_at.type),
    )
)
