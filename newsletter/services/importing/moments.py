"""Moments as files write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_SECONDS = 10  # digits
_SINCE_1970 = re.compile(r"[0-9]{9,10}(\.[0-9]{1,9})?|[0-9]{12,13}")
_AHEAD = timedelta(days=1)  # that a clock elsewhere may be


def parse_moment(text: str) -> datetime | None:
    """A moment; one without a time zone is taken as UTC, a plain number as seconds since 1970, or
    milliseconds. None where it is none, or none that a subscriber can have had."""
    if text[:9].isdecimal() and _SINCE_1970.fullmatch(text):
        seconds = float(text) / (1000 if len(text.partition(".")[0]) > _SECONDS else 1)
        moment = datetime.fromtimestamp(seconds, UTC)
        return moment if moment >= EARLIEST else None
    text = text.removesuffix(" UTC")
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= EARLIEST else None


def is_in_the_future(moment: datetime, now: datetime) -> bool:
    return moment > now + _AHEAD
