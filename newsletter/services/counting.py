"""The service's own database as a storage of the `limits` library, for limits that hold over all processes.

It lives as long as one transaction. What a batch of requests needs is read at once, counted in memory and
written at once: limits cost two statements a transaction, however many there are. Two transactions at
the same time do not see each other's counts, so a limit may be exceeded by as many as are committed
together; no count is ever lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from limits.storage import Storage
from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import LimitCount
from newsletter.queries import Query, among, insert_or_add


@dataclass
class _Count:
    hits: int
    expires_at: datetime
    added: int = 0


class DatabaseStorage(Storage):
    """Counts of this transaction. `load` what will be asked for, and `save` at the end."""

    STORAGE_SCHEME = None  # it is never made from an address

    def __init__(self, session: Session, now: datetime) -> None:
        super().__init__()
        self._session = session
        self._now = now
        self._counts: dict[str, _Count] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def load(self, keys: Iterable[str]) -> None:
        """Read the counts of `keys` that have not expired."""
        asked = sorted(set(keys) - self._counts.keys())
        if asked:
            for row in _COUNTED.rows(self._session, keys=asked, now=self._now):
                self._counts[row.key] = _Count(row.hits, row.expires_at)

    def hold(self, keys: Iterable[str]) -> None:
        """Read the counts of `keys` and keep all others from counting them until the commit. For what must
        not be exceeded even once: a solution that counts once, the attempts at a code."""
        asked = sorted(set(keys) - self._counts.keys())
        if not asked:
            return
        soon = self._now + timedelta(seconds=1)
        _ADD.run(
            self._session,
            [{"key": key, "hits": 0, "starts_at": self._now, "expires_at": soon} for key in asked],
        )
        self.load(asked)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(0, self._now + timedelta(seconds=expiry))
        elif not count.hits:
            count.expires_at = self._now + timedelta(seconds=expiry)
        count.hits += amount
        count.added += amount
        return count.hits

    def extend(self, key: str, expiry: int) -> int:
        """Count one more, and let the count live `expiry` seconds from now."""
        hits = self.incr(key, expiry)
        count = self._counts[key]
        count.expires_at = max(count.expires_at, self._now + timedelta(seconds=expiry))
        return hits

    def get(self, key: str) -> int:
        count = self._counts.get(key)
        return count.hits if count is not None else 0

    def get_expiry(self, key: str) -> float:
        count = self._counts.get(key)
        return (count.expires_at if count is not None else self._now).timestamp()

    def save(self) -> None:
        """Write what was counted, in the order of the keys: no two transactions wait for each other."""
        _ADD.run(
            self._session,
            [
                {"key": key, "hits": count.added, "starts_at": self._now, "expires_at": count.expires_at}
                for key, count in sorted(self._counts.items())
                if count.added
            ],
        )
        for count in self._counts.values():
            count.added = 0

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return self._remove(None)

    def clear(self, key: str) -> None:
        self._remove(key)

    def _remove(self, key: str | None) -> int:
        """Forget one count, or all of them."""
        statement = delete(_COUNTS) if key is None else delete(_COUNTS).where(_COUNTS.c.key == key)
        self._counts = {kept: count for kept, count in self._counts.items() if key not in (None, kept)}
        return int(self._session.connection().execute(statement).rowcount)


def forget(session: Session, now: datetime) -> None:
    """Remove counts that have expired."""
    session.connection().execute(delete(_COUNTS).where(_COUNTS.c.expires_at <= now))


def utc(moment: float) -> datetime:
    """A moment as the library gives it."""
    return datetime.fromtimestamp(moment, UTC)


_COUNTS = table_of(LimitCount)
_COUNTED = Query(
    select(_COUNTS.c.key, _COUNTS.c.hits, _COUNTS.c.expires_at).where(
        among(_COUNTS.c.key, "keys"),
        _COUNTS.c.expires_at > bindparam("now", type_=_COUNTS.c.expires_at.type),
    )
)
_ADD = Query(
    insert_or_add(_COUNTS, "hits", starts="starts_at", ends="expires_at"),
    columns=("key", "hits", "starts_at", "expires_at"),
)
