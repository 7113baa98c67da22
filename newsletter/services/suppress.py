"""Suppression: addresses that are never mailed again, whatever anybody types into a form."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import insert_missing
from newsletter.domain.suppressing import digests
from newsletter.models import Suppression
from newsletter.settings import Settings


def suppress(session: Session, settings: Settings, now: datetime, identity: str, *, reason: str) -> None:
    """Never mail this identity again; doing so twice changes nothing."""
    digest = digests(identity, settings.secret_keys)[-1]
    insert_missing(
        session,
        Suppression.__table__,
        [{"digest": digest, "reason": reason, "created_at": now}],
        key="digest",
    )


def which(session: Session, settings: Settings, identities: Collection[str]) -> set[str]:
    """Those of `identities` that are suppressed."""
    keys = (*settings.retired_keys, *settings.secret_keys)
    by_digest = {digest: identity for identity in identities for digest in digests(identity, keys)}
    found = session.scalars(select(Suppression.digest).where(Suppression.digest.in_(sorted(by_digest))))
    return {by_digest[digest] for digest in found}
