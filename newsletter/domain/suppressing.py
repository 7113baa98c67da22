"""The keyed hash under which an address is suppressed: useless to who steals the table without the keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


def digests(identity: str, keys: Sequence[str]) -> list[str]:
    """The hash of an identity key under each of `keys`, the newest key's last: that one is stored,
    all are looked up, so that a suppression survives the rotation of keys."""
    return [
        hmac.new(f"newsletter.suppression.v1:{key}".encode(), identity.encode(), hashlib.sha256).hexdigest()
        for key in keys
    ]
