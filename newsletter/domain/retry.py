"""What an SMTP reply means for a message, and when to try again (checklist S5)."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from random import Random

from newsletter.domain import bounce_policy
from newsletter.domain.bounce_texts import Reason, reason_of


class Verdict(Enum):
    """What to do with the message after a reply."""

    TAKEN = "taken"
    AGAIN = "again"  # this message, later
    NEVER = "never"  # this recipient does not take it


_FIRST_DELAYS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
_LATER_DELAY = timedelta(hours=3)
LONGEST_DELAY = _LATER_DELAY * 1.2  # with the jitter of `delay_before`
GIVE_UP_AFTER = timedelta(days=3)
_TOO_MANY = re.compile(
    r"(too many|concurrent|maximum|number of).{0,40}(connection|session)|(connection|thread) limit",
    re.IGNORECASE,
)
_RELAY_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds


def verdict(code: int, text: str) -> Verdict:
    """Read a reply to RCPT, DATA or the message: its code and text (RFC 5321 §4.2, RFC 3463).

    A refusal that is about the sender, by its status (5.7.x) or its words, or a missing login (530, 535), is
    tried again rather than held against the recipient (B3).
    """
    if 200 <= code < 300:
        return Verdict.TAKEN
    if code in (530, 534, 535, 538) or (code >= 500 and _is_ours(code, text)):
        return Verdict.AGAIN
    return Verdict.NEVER if 500 <= code < 600 else Verdict.AGAIN


def _is_ours(code: int, text: str) -> bool:
    """Whether the sender is refused, rather than this mail, which would be refused again."""
    said = f"{code} {text}"
    if bounce_policy.judge(None, said).verdict is not bounce_policy.Verdict.OUR_FAULT:
        return False
    return bounce_policy.precise(None, said).startswith("5.7.") or reason_of(said) is Reason.SENDER_REFUSED


def is_about_connections(reply: str) -> bool:
    """Whether a reply says that there are too many connections, so that the message itself is as welcome as
    any. 432 is Exchange Online's: it takes three at once."""
    return reply.startswith("432") or (reply.startswith("4") and bool(_TOO_MANY.search(reply)))


def delay_before(attempt: int, random: Random) -> timedelta:
    """How long to wait before attempt number `attempt` (the second is 2), with ±20 % jitter."""
    number = max(attempt - 2, 0)
    base = _FIRST_DELAYS[number] if number < len(_FIRST_DELAYS) else _LATER_DELAY
    return base * random.uniform(0.8, 1.2)


def relay_pause(failures: int, random: Random) -> float:
    """Seconds to leave a relay alone after its `failures`-th failure in a row, with jitter."""
    base = _RELAY_DELAYS[min(max(failures, 1), len(_RELAY_DELAYS)) - 1]
    return base * random.uniform(0.8, 1.2)
