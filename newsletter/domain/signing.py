"""How tokens are signed: by itsdangerous with SHA-256, at a moment that is handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from itsdangerous import TimestampSigner


class SignerAt(TimestampSigner):
    """itsdangerous asks the clock; the rules have none, so the time is handed in. The last key signs, all
    verify (D2)."""

    def __init__(self, keys: Sequence[str], salt: str, now: datetime) -> None:
        super().__init__(list(keys), salt=salt, digest_method=hashlib.sha256)
        self._now = int(now.timestamp())

    def get_timestamp(self) -> int:
        return self._now
