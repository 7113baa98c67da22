"""The six digits of a confirmation mail, for confirming without leaving the page.

A code is a keyed hash of the mail that carries it: it is made when the mail is written and made again when
it is checked, so no code is ever stored. It is good for that one mail, for a short time.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Sequence
from datetime import timedelta

LIFE = timedelta(minutes=15)
ATTEMPTS = 5  # in any stretch of LIFE, for one address and list


def code_for(message_id: str, key: str) -> str:
    """The code of the confirmation mail with this Message-ID, under `key`."""
    digest = hmac.new(f"newsletter.code.v1:{key}".encode(), message_id.encode(), hashlib.sha256).digest()
    return f"{int.from_bytes(digest[:8]) % 1_000_000:06}"


def is_code_of(message_id: str, keys: Sequence[str], typed: str) -> bool:
    """Whether `typed` is the code of that mail under one of `keys`, however it is spaced, and in whichever
    digits the visitor's keyboard has."""
    digits = "".join(str(unicodedata.decimal(sign, "")) for sign in typed)
    return any(hmac.compare_digest(code_for(message_id, key).encode(), digits.encode()) for key in keys)


def spaced(code: str) -> str:
    """As people read it: `123 456`."""
    return f"{code[:3]} {code[3:]}"
