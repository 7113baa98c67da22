"""Changing one's own name and language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.services.evidence import Seen
from newsletter.services.subscribers import SubscriberGone
from newsletter.services.subscribers.changing import Changes, edit_person
from newsletter.settings import Settings


@dataclass(frozen=True)
class ProfileChange:
    """What a person wants to be called and in which language they are written to; None stays as it is."""

    subscriber_id: UUID
    changes: Changes
    seen: Seen


def change_profile(
    session: Session,
    settings: Settings,  # noqa: ARG001
    now: datetime,
    wanted: Sequence[ProfileChange],
) -> list[bool]:
    """Keep the changes; returns for each whether the person is there. Raises `ProfileError`."""
    return [_change(session, now, one) for one in wanted]


def _change(session: Session, now: datetime, wanted: ProfileChange) -> bool:
    try:
        edit_person(session, now, wanted.seen, wanted.subscriber_id, wanted.changes)
    except SubscriberGone:
        return False
    return True
