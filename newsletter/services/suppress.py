"""Suppression: addresses that are never mailed again, whatever anybody types into a form."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.suppressing import digests
from newsletter.models import Suppression
from newsletter.queries import Query, among, insert_missing
from newsletter.settings import Settings


def suppress(session: Session, settings: Settings, now: datetime, identity: str, *, reason: str) -> None:
    """Never mail this identity again; doing so twice changes nothing."""
    digest = digests(identity, settings.secret_keys)[-1]
    _ADD.run(session, [{"digest": digest, "reason": reason, "created_at": now}])


def which(session: Session, settings: Settings, identities: Collection[str]) -> set[str]:
    """Those of `identities` that are suppressed."""
    return set(reasons(session, settings, identities))


def reasons(session: Session, settings: Settings, identities: Collection[str]) -> dict[str, str]:
    """Why those of `identities` are suppressed that are."""
    keys = (*settings.retired_keys, *settings.secret_keys)
    by_digest = {digest: identity for identity in identities for digest in digests(identity, keys)}
    rows = _AMONG.rows(session, digests=sorted(by_digest))
    return {by_digest[row.digest]: row.reason for row in rows}


_SUPPRESSIONS = table_of(Suppression)
_AMONG = Query(
    select(_SUPPRESSIONS.c.digest, _SUPPRESSIONS.c.reason).where(among(_SUPPRESSIONS.c.digest, "digests"))
)
_ADD = Query(insert_missing(_SUPPRESSIONS), columns=("digest", "reason", "created_at"))
