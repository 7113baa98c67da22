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
from datetime import datetime, timedelta
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
    signed_at: datetime


# A link to the subscriber's page that stood in any mail: shown to others with the mail, it opens little.
MANAGE_FOR = timedelta(days=30)
# One that was sent because its reader asked for it opens all, for as long.
ASKED_FOR = timedelta(days=1)
# A change of address is remembered so long after it was asked for, or made, and can be undone.
UNDO_FOR = timedelta(days=14)


@dataclass(frozen=True)
class Manage:
    """What a link to the subscriber's page names: a person, and which of their addresses it was sent to.
    `asked` says that it was sent on request, to nobody else, and lately."""

    subscriber_id: UUID
    generation: int
    asked: bool
    expired: bool
    signed_at: datetime


@dataclass(frozen=True)
class NewAddress:
    """What the link to a new address names: the change that it makes."""

    change_id: UUID
    expired: bool
    signed_at: datetime


class Links:
    """Makes and reads tokens. `keys` oldest first: the last one signs, all verify (D2).

    `retired` keys verify unsubscribe links for ever, and nothing else (U8).
    """

    _CONFIRM = "newsletter.confirm.v1"
    _UNSUBSCRIBE = "newsletter.unsubscribe.v1"
    _MANAGE = "newsletter.manage.v1"
    _NEW_ADDRESS = "newsletter.new-address.v1"
    _NOT_ME = "newsletter.not-me.v1"

    def __init__(self, keys: Sequence[str], retired: Sequence[str] = ()) -> None:
        self._keys = tuple(keys)
        self._unsubscribe = Signer([*retired, *keys], salt=self._UNSUBSCRIBE, digest_method=hashlib.sha256)
        self._not_me = Signer(list(keys), salt=self._NOT_ME, digest_method=hashlib.sha256)

    def confirm_token(self, subscription_id: UUID, generation: int, *, now: datetime) -> str:
        """A token that confirms sign-up number `generation` of a subscription."""
        value = f"{_pack(subscription_id)}{generation}"
        return SignerAt(self._keys, self._CONFIRM, now).sign(value).decode()

    def read_confirm(self, token: str, *, now: datetime, max_age: timedelta) -> Confirmation:
        """What a confirmation token names, and whether its time is over (D3). Raises `BadLink`."""
        value, signed_at = self._read(self._CONFIRM, token, now)
        packed, generation = value[:22], value[22:]
        if not (generation.isascii() and generation.isdigit()):
            raise BadLink
        # A token from the future was signed by a clock that is ahead: as good as a fresh one.
        return Confirmation(_unpack(packed), int(generation), now - signed_at > max_age, signed_at)

    def unsubscribe_token(self, subscription_id: UUID) -> str:
        """A token that ends one subscription. It never expires."""
        return self._unsubscribe.sign(_pack(subscription_id)).decode()

    def read_unsubscribe(self, token: str) -> UUID:
        """The subscription that an unsubscribe token ends. Raises `BadLink`."""
        try:
            return _unpack(self._unsubscribe.unsign(_clean(token)).decode())
        except (BadData, ValueError) as error:
            raise BadLink from error

    def manage_token(self, subscriber_id: UUID, generation: int, *, asked: bool, now: datetime) -> str:
        """A token that opens a person's page while they have this address."""
        value = f"{_pack(subscriber_id)}{'a' if asked else 'm'}{generation}"
        return SignerAt(self._keys, self._MANAGE, now).sign(value).decode()

    def read_manage(self, token: str, *, now: datetime) -> Manage:
        """Whose page a token opens, how far, and whether its time is over. Raises `BadLink`."""
        value, signed_at = self._read(self._MANAGE, token, now)
        packed, strength, generation = value[:22], value[22:23], value[23:]
        if strength not in ("a", "m") or not (generation.isascii() and generation.isdigit()):
            raise BadLink
        age = now - signed_at
        return Manage(
            _unpack(packed),
            int(generation),
            asked=strength == "a" and age <= ASKED_FOR,
            expired=age > MANAGE_FOR,
            signed_at=signed_at,
        )

    def new_address_token(self, change_id: UUID, *, now: datetime) -> str:
        """A token that makes a change of address, for the new one."""
        return SignerAt(self._keys, self._NEW_ADDRESS, now).sign(_pack(change_id)).decode()

    def read_new_address(self, token: str, *, now: datetime, max_age: timedelta) -> NewAddress:
        """The change that a token makes, and whether its time is over. Raises `BadLink`."""
        value, signed_at = self._read(self._NEW_ADDRESS, token, now)
        return NewAddress(_unpack(value), expired=now - signed_at > max_age, signed_at=signed_at)

    def not_me_token(self, change_id: UUID) -> str:
        """A token that stops or undoes a change of address, for the old one: it works while the change is
        remembered."""
        return self._not_me.sign(_pack(change_id)).decode()

    def read_not_me(self, token: str) -> UUID:
        """The change that a token stops or undoes. Raises `BadLink`."""
        try:
            return _unpack(self._not_me.unsign(_clean(token)).decode())
        except (BadData, ValueError) as error:
            raise BadLink from error

    def _read(self, salt: str, token: str, now: datetime) -> tuple[str, datetime]:
        """What a token of one purpose carries, and when it was signed. Raises `BadLink`."""
        try:
            value, signed_at = SignerAt(self._keys, salt, now).unsign(_clean(token), return_timestamp=True)
            return value.decode(), signed_at
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
