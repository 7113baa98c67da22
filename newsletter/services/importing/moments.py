"""Moments as files write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)  # that a clock elsewhere may be


def parse_moment(text: str) -> datetime | None:
    """A moment; one without a time zone is taken as UTC. None where it is none, or none that a subscriber
    can have had."""
    text = text.removesuffix(" UTC")
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= EARLIEST else None


def is_in_the_future(moment: datetime, now: datetime) -> bool:
    return moment > now + _AHEAD
