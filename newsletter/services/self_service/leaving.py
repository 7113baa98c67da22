"""Leaving for good: what was kept of a person goes, as they ask themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.services.subscribers import SubscriberGone
from newsletter.services.subscribers.erasing import erase_oneself
from newsletter.settings import Settings

WAY = "subscriber"


@dataclass(frozen=True)
class Departure:
    """A person wants nothing of theirs to be kept."""

    subscriber_id: UUID


def leave(session: Session, settings: Settings, now: datetime, departures: Sequence[Departure]) -> list[bool]:
    """Erase people; returns for each whether they were still there."""
    return [_leave(session, settings, now, departure) for departure in departures]


def _leave(session: Session, settings: Settings, now: datetime, departure: Departure) -> bool:
    try:
        erase_oneself(session, settings, now, departure.subscriber_id, way=WAY)
    except SubscriberGone:
        return False
    return True
