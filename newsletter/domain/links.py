"""Signed links: each a capability for one purpose, carrying an opaque id and never an address.

One salt per purpose keeps a token of one door from opening another (D1). Tokens end in a letter or
digit, so that what mail clients glue to a link can be told from the link (D8).
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from newsletter.domain.signing import SignerAt

_OURS = re.compile(r"[A-Za-z0-9_.-]*")


class BadLink(Exception):
    """Not a token of ours for this purpose: damaged, forged, or of another door."""


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation link names: a subscription, and which of its sign-ups is confirmed."""

    subscription_id: UUID
    generation: int
    expired: bool


class Links:
    """Makes and reads tokens. `keys` oldest first: the last one signs, all verify (D2).

    `retired` keys verify unsubscribe links for ever, and nothing else (U8).
    """

    _CONFIRM = "newsletter.confirm.v1"
    _UNSUBSCRIBE = "newsletter.unsubscribe.v1"

    def __init__(self, keys: Sequence[str], retired: Sequence[str] = ()) -> None:
        self._keys = tuple(keys)
        self._unsubscribe = Signer([*retired, *keys], salt=self._UNSUBSCRIBE, digest_method=hashlib.sha256)

    def confirm_token(self, subscription_id: UUID, generation: int, *, now: datetime) -> str:
        """A token that confirms sign-up number `generation` of a subscription."""
        value = f"{_pack(subscription_id)}{generation}"
        return SignerAt(self._keys, self._CONFIRM, now).sign(value).decode()

    def read_confirm(self, token: str, *, now: datetime, max_age: timedelta) -> Confirmation:
        """What a confirmation token names, and whether its time is over (D3). Raises `BadLink`."""
        signer = SignerAt(self._keys, self._CONFIRM, now)
        try:
            value, signed_at = signer.unsign(_clean(token), return_timestamp=True)
            packed, generation = value[:22].decode(), value[22:].decode()
            if not (generation.isascii() and generation.isdigit()):
                raise BadLink
            age = now.astimezone(UTC) - signed_at
            # A token from the future was signed by a clock that is ahead: as good as a fresh one.
            return Confirmation(_unpack(packed), int(generation), expired=age > max_age)
        except (BadData, ValueError) as error:
            raise BadLink from error

    def unsubscribe_token(self, subscription_id: UUID) -> str:
        """A token that ends one subscription. It never expires."""
        return self._unsubscribe.sign(_pack(subscription_id)).decode()

    def read_unsubscribe(self, token: str) -> UUID:
        """The subscription that an unsubscribe token ends. Raises `BadLink`."""
        try:
            return _unpack(self._unsubscribe.unsign(_clean(token)).decode())
        except (BadData, ValueError) as error:
            raise BadLink from error


def _clean(token: str) -> str:
    """The token without what was glued to its end; raises `BadLink` where the signature is not written
    in the one way that we write it (the last character of base64 has spare bits)."""
    token = _OURS.match(token)[0].rstrip("._-")  # type: ignore[index]  # it always matches
    if len(token) > 256:
        raise BadLink
    signature = token.rpartition(".")[2]
    try:
        if base64_encode(base64_decode(signature)).decode() != signature:
            raise BadLink
    except BadData as error:
        raise BadLink from error
    return token


def _pack(identifier: UUID) -> str:
    return urlsafe_b64encode(identifier.bytes).decode().rstrip("=")


def _unpack(packed: str) -> UUID:
    try:
        return UUID(bytes=urlsafe_b64decode(packed + "=="))
    except Base64Error as error:
        raise BadLink from error
