"""The keyed hash under which an address is suppressed: useless to who steals the table without the keys. And
which suppressions a person may lift."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum

from newsletter.domain.addresses import AddressError, parse_address


class Reason(StrEnum):
    """Why an address is suppressed. What stands in the table may be another word: imports bring theirs."""

    COMPLAINT = "complaint"  # they reported mail as spam
    ERASED = "erased"  # the publisher erased them, and wants no mail to them any more
    BOUNCE = "bounce"  # the address took no mail
    LEFT = "left"  # they erased themselves


# What a person lifts by signing up and pressing the button in the mail: that shows who they are, that their
# address takes mail, and that they want it. No file and no operator does; and no other reason is lifted.
LIFTABLE = frozenset({Reason.BOUNCE, Reason.LEFT})


def is_liftable(reason: str) -> bool:
    """Whether a fresh confirmation lifts a suppression of this reason."""
    return reason in LIFTABLE


def digests(identity: str, keys: Sequence[str]) -> list[str]:
    """The hash of an identity key under each of `keys`, the newest key's last: that one is stored,
    all are looked up, so that a suppression survives the rotation of keys."""
    return [
        hmac.new(f"newsletter.suppression.v1:{key}".encode(), identity.encode(), hashlib.sha256).hexdigest()
        for key in keys
    ]


def digest_of(address: str, keys: Sequence[str]) -> str | None:
    """The hash of whose address this is, under the newest key; None where it is none."""
    try:
        return digests(parse_address(address).identity, keys)[-1]
    except AddressError:
        return None
