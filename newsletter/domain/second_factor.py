"""The second factor of a log-in: six digits that change every half minute (RFC 6238), or a recovery code
(checklist O5).

A secret is kept encrypted, under a key that is made of one of the service's: who reads the database alone
makes no codes of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"newsletter.second-factor.v1"
_NONCE = 12  # bytes
_PLAIN = 32  # letters of a secret
_STEP = 30  # seconds
_DRIFT = 1  # steps that a clock may be off
_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is mistaken for another


def new_secret() -> str:
    """A fresh secret, as authenticators take it."""
    return pyotp.random_base32()


def address_of(secret: str, *, account: str, issuer: str) -> str:
    """What the QR code holds."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def seal(secret: str, keys: Sequence[str], operator_id: UUID) -> str:
    """A secret as it is kept: under the newest of `keys`, the last one, and of use to this operator alone."""
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(_made_of(keys[-1])).encrypt(nonce, base64.b32decode(secret), operator_id.bytes)
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(kept: str, keys: Sequence[str], operator_id: UUID) -> str | None:
    """A secret that was kept; None where none of `keys` opens it. Older versions kept it as it is."""
    if len(kept) == _PLAIN:
        return kept
    sealed = base64.urlsafe_b64decode(kept)
    for key in reversed(keys):
        with suppress(InvalidTag):
            opened = AESGCM(_made_of(key)).decrypt(sealed[:_NONCE], sealed[_NONCE:], operator_id.bytes)
            return base64.b32encode(opened).decode()
    return None


def _made_of(key: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())


def step_of(secret: str, typed: str, now: datetime, *, after: int | None) -> int | None:
    """The half minute whose code was typed; None where it is none, or not later than `after`, the last one
    used: a code counts once."""
    digits = re.sub(r"\s", "", typed)
    if not re.fullmatch(r"[0-9]{6}", digits):
        return None
    current = int(now.timestamp()) // _STEP
    totp = pyotp.TOTP(secret)
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        if hmac.compare_digest(totp.at(step * _STEP), digits) and (after is None or step > after):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Codes for when the authenticator is lost; each counts once."""
    return [
        "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(3)) for _ in range(_CODES)
    ]


def recovery_digest(code: str) -> str:
    """How a recovery code is kept. It has 74 random bits: a plain hash tells nothing of it."""
    return hashlib.sha256(re.sub(r"[\s-]", "", code).lower().encode()).hexdigest()


def without(kept: Sequence[str], typed: str) -> list[str] | None:
    """The codes that are left when `typed` was used; None where it is none of them."""
    digest = recovery_digest(typed)
    if not any(hmac.compare_digest(digest, one) for one in kept):
        return None
    return [one for one in kept if one != digest]
