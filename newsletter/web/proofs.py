"""Proof of work by ALTCHA v2: challenges that a browser solves in a moment and a flood of sign-ups does not.

A challenge is signed and kept nowhere. What was signed is checked again when its solution comes in, and a
solution counts once (checklist A6).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from altcha import Payload, create_challenge, verify_solution
from flask import current_app

from newsletter.services.guard import Proof

LIFE = timedelta(minutes=10)
_ALGORITHM = "PBKDF2/SHA-256"  # what every browser brings
# What one try costs: a browser makes many, we make one for each challenge. So a surge raises their number.
_ROUNDS = 1000
# How many tries a solution takes in calm: enough to be work, and about the same for everybody.
_FEWEST, _MOST = 100, 200
_LONGEST = 4096


class Proofs:
    """Makes challenges and reads solutions. `keys` oldest first: the last one signs, all verify."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._secrets = [_secrets(key) for key in keys]

    def challenge(self, level: int, *, now: datetime, asked: bool = False) -> dict[str, Any]:
        """A challenge at a level of surge, as ALTCHA v2 writes it in JSON; `asked` of a sign-up, or before
        one."""
        secret, key_secret = self._secrets[-1]
        made = create_challenge(
            _ALGORITHM,
            _ROUNDS,
            counter=(_FEWEST << level) + secrets.randbelow((_MOST - _FEWEST << level) + 1),
            expires_at=now + LIFE,
            data={"level": level, "asked": asked},
            hmac_secret=secret,
            hmac_key_secret=key_secret,
        )
        return made.to_dict()

    def read(self, payload: str | None) -> Proof | None:
        """The proof in a payload; None where it is missing, altered, expired, or wrong."""
        if not payload or len(payload) > _LONGEST:
            return None
        for secret, key_secret in self._secrets:
            if verify_solution(payload, secret, hmac_key_secret=key_secret).verified:
                challenge = Payload.from_base64(payload).challenge
                identifier = hashlib.sha256(f"{challenge.signature}".encode()).hexdigest()[:32]
                data = challenge.parameters.data or {}
                return Proof(
                    identifier, data["level"], int(LIFE.total_seconds()), asked=data.get("asked") is True
                )
        return None


def _secrets(key: str) -> tuple[bytes, bytes]:
    """One secret for the challenge and one for its solution, from a key of the service."""
    return (
        hmac.digest(key.encode(), b"newsletter.challenge.v1", "sha256"),
        hmac.digest(key.encode(), b"newsletter.solution.v1", "sha256"),
    )


def proofs() -> Proofs:
    """That of this process."""
    return cast("Proofs", current_app.extensions["newsletter.proofs"])
