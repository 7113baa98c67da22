"""Webhooks by the Standard Webhooks specification (version 1.0.0): what is told, how it is signed, and when
it is told again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from random import Random

from newsletter.domain.lifecycle import Event, State


class Notice(StrEnum):
    """What a webhook can be told of a subscription."""

    SUBSCRIBED = "subscribed"  # asked for, not yet confirmed
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ERASED = "erased"  # what was held of it is gone, and should be wherever it was copied to

    @property
    def type(self) -> str:
        """What a message calls it."""
        return f"subscription.{self.value}"


# The type of a message that an operator sends to see whether it arrives.
TEST = "webhook.test"

_NOTICES = {
    State.PENDING: Notice.SUBSCRIBED,
    State.CONFIRMED: Notice.CONFIRMED,
    State.UNSUBSCRIBED: Notice.UNSUBSCRIBED,
    State.BOUNCED: Notice.BOUNCED,
    State.COMPLAINED: Notice.COMPLAINED,
}


# By which way those came whom a file has brought.
_BY_FILE = "import"
# What was longer ago when it is put down came with the history in a file.
_NEWS = timedelta(days=7)


def notice_of(
    kind: Event, before: State | None, after: State | None, *, way: str, age: timedelta
) -> Notice | None:
    """What is told of an event that was `age` ago: a state that is another one now. Of whoever comes new in a
    file, and of what a file tells of their past, only the change feed tells: a file may hold a million."""
    is_from_file = (kind is Event.IMPORT and way == _BY_FILE and before is None) or age > _NEWS
    if before is after or is_from_file:
        return None
    return Notice.ERASED if after is None else _NOTICES[after]


# The waits between attempts that the specification proposes: ten attempts in three days.
_WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
LONGEST_WAIT = timedelta(hours=24)
# A webhook that lets nothing through for so long is switched off.
PATIENCE = timedelta(days=5)
# How long the secret before the present one signs as well.
ROTATION = timedelta(hours=24)


def wait_after(attempts: int, random: Random, *, asked: timedelta | None = None) -> timedelta | None:
    """How long to wait after so many attempts, with ±20 % jitter, and no less than the receiver `asked` for
    by Retry-After; None where it was the last."""
    if attempts > len(_WAITS):
        return None
    wait = _WAITS[max(attempts, 1) - 1] * random.uniform(0.8, 1.2)
    return max(wait, min(asked, LONGEST_WAIT)) if asked is not None else wait


_PREFIX = "whsec_"


def new_secret() -> str:
    """A secret, as the specification writes it. It is of 33 random bytes, which fill their base64: what ends
    with `=` is copied without it, and some receivers cannot read it then."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(33)).decode()


def signature(keys: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each secret, so that either verifies it."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return " ".join(f"v1,{_mac(key, signed)}" for key in keys)


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
