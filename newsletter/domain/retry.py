"""What an SMTP reply means for a message, and when to try again (checklist S5)."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from random import Random


class Verdict(Enum):
    """What to do with the message after a reply."""

    TAKEN = "taken"
    AGAIN = "again"  # this message, later
    NEVER = "never"  # this recipient does not take it


_FIRST_DELAYS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
_LATER_DELAY = timedelta(hours=3)
GIVE_UP_AFTER = timedelta(days=3)
_RELAY_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds


def verdict(code: int, text: str) -> Verdict:
    """Read a reply to RCPT, DATA or the message: its code and text (RFC 5321 §4.2, RFC 3463).

    A policy refusal (5.7.x) or a missing login (530, 535) is about the sender, so it is tried
    again rather than held against the recipient (B3).
    """
    if 200 <= code < 300:
        return Verdict.TAKEN
    if code in (530, 534, 535, 538) or (code >= 500 and re.match(r"5\.7\.\d", text)):
        return Verdict.AGAIN
    return Verdict.NEVER if 500 <= code < 600 else Verdict.AGAIN


def delay_before(attempt: int, random: Random) -> timedelta:
    """How long to wait before attempt number `attempt` (the second is 2), with ±20 % jitter."""
    number = max(attempt - 2, 0)
    base = _FIRST_DELAYS[number] if number < len(_FIRST_DELAYS) else _LATER_DELAY
    return base * random.uniform(0.8, 1.2)


def relay_pause(failures: int, random: Random) -> float:
    """Seconds to leave a relay alone after its `failures`-th failure in a row, with jitter."""
    base = _RELAY_DELAYS[min(max(failures, 1), len(_RELAY_DELAYS)) - 1]
    return base * random.uniform(0.8, 1.2)
