"""Opaque ids that sort by the time they were made, so that indexes grow at their end."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

_RANDOM_BITS = 74
_STEP_BITS = 32


def new_id(now: datetime) -> UUID:
    """A version 7 UUID (RFC 9562 §5.7): 48 bits of milliseconds, 74 random bits."""
    return UUID(int=milliseconds(now) << 80 | _layout(secrets.randbits(_RANDOM_BITS)))


def ids_in_order(now: datetime) -> Iterator[str]:
    """Any number of them for one moment, each above the one before (RFC 9562 §6.2), as 32 hexadecimal digits:
    for rows by the million, which keep their order."""
    time = f"{milliseconds(now):012x}"
    step = random.Random(secrets.randbits(64)).getrandbits  # noqa: S311 - an id is no secret
    tail = secrets.randbits(_RANDOM_BITS - 1)
    while True:
        yield f"{time}{_layout(tail):020x}"
        tail += 1 + step(_STEP_BITS)


def first_id(moment: datetime) -> UUID:
    """What no id sorts before that was made at this moment or later."""
    return UUID(int=milliseconds(moment) << 80)


def milliseconds(moment: datetime) -> int:
    """The time as an id holds it."""
    return int(moment.timestamp() * 1000) & (1 << 48) - 1


def _layout(bits: int) -> int:
    """74 bits in their places between version and variant."""
    return 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
