"""Addresses that mail comes back to: each names one mail, or one subscription, and proves that we made it
(VERP with a MAC, checklist B2).

Mail systems lower-case local parts, so a token is base32 in lower case: an id, and 96 bits of HMAC-SHA256
that differ by purpose. An address of one purpose is none of another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

_MAC = 12  # bytes
_ID = 16
# The subject that our mail asks a wish to leave to have.
LEAVE = "unsubscribe"


class Purpose(StrEnum):
    """What an address is for: the word that its local part begins with."""

    BOUNCE = "bounce"  # names a message of the outbox; the envelope sender of our mail
    UNSUBSCRIBE = "unsubscribe"  # names a subscription; the mailto of List-Unsubscribe


class NotOurs(Exception):
    """Not an address of these."""


class Forged(NotOurs):
    """It looks like one of these, and we did not make it."""


@dataclass(frozen=True)
class ReturnPath:
    """What an address names."""

    purpose: Purpose
    id: UUID


class ReturnPaths:
    """Makes and reads these addresses. `keys` oldest first: the last one makes, all are known, and the
    `retired` too: mail comes back when it comes back (D2, U8)."""

    def __init__(self, domain: str, keys: Sequence[str], retired: Sequence[str] = ()) -> None:
        self._domain = domain.lower()
        self._keys = (*retired, *keys)

    def bounce_address(self, outbox_id: UUID) -> str:
        """The envelope sender of a message."""
        return self._address(Purpose.BOUNCE, outbox_id)

    def unsubscribe_address(self, subscription_id: UUID) -> str:
        """Where any mail ends a subscription. It never expires."""
        return self._address(Purpose.UNSUBSCRIBE, subscription_id)

    def read(self, address: str) -> ReturnPath:
        """What an address names. Raises `NotOurs`, or `Forged`."""
        local, _, domain = address.strip().strip("<>").lower().rpartition("@")
        match = _LOCAL.fullmatch(local)
        if match is None or domain.rstrip(".") != self._domain:
            raise NotOurs
        purpose, token = Purpose(match[1]), match[2]
        try:
            raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
        except binascii.Error as error:
            raise Forged from error
        packed, mac = raw[:_ID], raw[_ID:]
        # The last character has a spare bit: only the one way in which we write it is ours.
        if _token(raw) != token or not any(
            hmac.compare_digest(_mac(key, purpose, packed), mac) for key in self._keys
        ):
            raise Forged
        return ReturnPath(purpose, UUID(bytes=packed))

    def _address(self, purpose: Purpose, identifier: UUID) -> str:
        packed = identifier.bytes
        return f"{purpose}-{_token(packed + _mac(self._keys[-1], purpose, packed))}@{self._domain}"


_LOCAL = re.compile(r"(bounce|unsubscribe)-([a-z2-7]{1,50})")


def _token(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _mac(key: str, purpose: Purpose, packed: bytes) -> bytes:
    salted = f"newsletter.return-path.{purpose}.v1:{key}".encode()
    return hmac.new(salted, packed, hashlib.sha256).digest()[:_MAC]
