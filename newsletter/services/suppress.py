"""Suppression: addresses that are not mailed, whatever anybody types into a form or brings in a file.

Some suppressions end when the person signs up and confirms (newsletter.domain.suppressing): a sign-up is then
taken as any other, its confirmation is the one mail that leaves, and the pressed button lifts it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.suppressing import LIFTABLE, digests, is_liftable
from newsletter.models import Suppression
from newsletter.queries import Query, among, insert_missing
from newsletter.settings import Settings


def suppress(session: Session, settings: Settings, now: datetime, identity: str, *, reason: str) -> None:
    """Do not mail this identity again. Doing so twice changes nothing, unless the person could lift the
    reason that was there and cannot lift this one."""
    _suppress(session, now, _digests(settings, identity), reason)


def suppress_digest(session: Session, now: datetime, digest: str, *, reason: str) -> None:
    """The same for an identity of which only the hash is known."""
    _suppress(session, now, [digest], reason)


def lift(session: Session, settings: Settings, identities: Collection[str]) -> None:
    """End what suppressions of `identities` their owners can end: they pressed a button in a mail."""
    found = [digest for identity in identities for digest in _digests(settings, identity)]
    if found:
        _LIFT.run(session, [{"digests": sorted(found), "liftable": sorted(LIFTABLE)}])


def which(session: Session, settings: Settings, identities: Collection[str]) -> set[str]:
    """Those of `identities` that are suppressed."""
    return set(reasons(session, settings, identities))


def for_good(session: Session, settings: Settings, identities: Collection[str]) -> set[str]:
    """Those of `identities` that are suppressed and cannot lift that themselves."""
    found = reasons(session, settings, identities)
    return {identity for identity, reason in found.items() if not is_liftable(reason)}


def reasons(session: Session, settings: Settings, identities: Collection[str]) -> dict[str, str]:
    """Why those of `identities` are suppressed that are. Of several reasons (under keys of different ages),
    one that cannot be lifted."""
    by_digest = {digest: identity for identity in identities for digest in _digests(settings, identity)}
    rows = _AMONG.rows(session, digests=sorted(by_digest))
    rows.sort(key=lambda row: is_liftable(row.reason), reverse=True)
    return {by_digest[row.digest]: row.reason for row in rows}


def _suppress(session: Session, now: datetime, all_digests: list[str], reason: str) -> None:
    if not is_liftable(reason):
        _HARDEN.run(session, [{"digests": all_digests, "liftable": sorted(LIFTABLE), "reason": reason}])
    _ADD.run(session, [{"digest": all_digests[-1], "reason": reason, "created_at": now}])


def _digests(settings: Settings, identity: str) -> list[str]:
    """Under every key there ever was; the last one is stored."""
    return digests(identity, (*settings.retired_keys, *settings.secret_keys))


_SUPPRESSIONS = table_of(Suppression)
_AMONG = Query(
    select(_SUPPRESSIONS.c.digest, _SUPPRESSIONS.c.reason).where(among(_SUPPRESSIONS.c.digest, "digests"))
)
_ADD = Query(insert_missing(_SUPPRESSIONS), columns=("digest", "reason", "created_at"))
_THESE = (among(_SUPPRESSIONS.c.digest, "digests"), among(_SUPPRESSIONS.c.reason, "liftable"))
_HARDEN = Query(update(_SUPPRESSIONS).where(*_THESE), columns=("reason",))
_LIFT = Query(delete(_SUPPRESSIONS).where(*_THESE))
