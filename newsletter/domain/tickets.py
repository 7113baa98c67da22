"""What operators carry: the link of an invitation, the mark of a browser that has logged in before, and the
link that gives a new browser such a mark."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from itsdangerous import BadData, URLSafeSerializer

from newsletter.domain.signing import SignerAt

LIFE = timedelta(hours=24)
BROWSER_LIFE = timedelta(hours=1)


class BadTicket(Exception):
    """Not a token of ours for this purpose, or one whose time is over."""


@dataclass(frozen=True)
class Ticket:
    """Whom an invitation is for, and what was so when it was made."""

    operator_id: UUID
    mark: str

    def fits(self, stamp: str) -> bool:
        """Whether it is for the invitation that is open now; there is none where `stamp` is empty."""
        return bool(stamp) and self.mark == _mark(stamp)


class Tickets:
    """Makes and reads them. `keys` oldest first: the last one signs, all verify."""

    _INVITATION = "newsletter.invitation.v1"
    _DEVICE = "newsletter.device.v1"
    _BROWSER = "newsletter.browser.v1"

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._devices = URLSafeSerializer(
            list(keys), salt=self._DEVICE, signer_kwargs={"digest_method": hashlib.sha256}
        )

    def invitation(self, operator_id: UUID, stamp: str, *, now: datetime) -> str:
        """A token by which an operator sets a password. `stamp` is that of the invitation: once it is
        accepted, or another one was made, the token fits no more."""
        return SignerAt(self._keys, self._INVITATION, now).sign(f"{operator_id.hex}{_mark(stamp)}").decode()

    def read(self, token: str, *, now: datetime) -> Ticket:
        """Raises `BadTicket`."""
        value = self._unsign(self._INVITATION, token, LIFE, now)
        try:
            return Ticket(UUID(value[:32]), value[32:])
        except ValueError as error:
            raise BadTicket from error

    def browser(self, operator_id: UUID, *, now: datetime) -> str:
        """A token that marks the browser in which it is opened as this operator's. It logs nobody in."""
        return SignerAt(self._keys, self._BROWSER, now).sign(operator_id.hex).decode()

    def read_browser(self, token: str, *, now: datetime) -> UUID:
        """Whose it is. Raises `BadTicket`."""
        return UUID(self._unsign(self._BROWSER, token, BROWSER_LIFE, now))

    def _unsign(self, purpose: str, token: str, life: timedelta, now: datetime) -> str:
        try:
            value, signed_at = SignerAt(self._keys, purpose, now).unsign(token, return_timestamp=True)
        except BadData as error:
            raise BadTicket from error
        if now.astimezone(UTC) - signed_at > life:
            raise BadTicket
        return value.decode()

    def device(self, operator_id: UUID) -> str:
        """A fresh mark for a browser in which this operator has logged in."""
        token = self._devices.dumps([operator_id.hex, secrets.token_urlsafe(8)])
        return token if isinstance(token, str) else token.decode()

    def is_device(self, token: str | None, operator_id: UUID) -> bool:
        """Whether it is such a mark."""
        try:
            marked = self._devices.loads(token) if token is not None else None
        except BadData:
            return False
        return isinstance(marked, list) and marked[:1] == [operator_id.hex]


def _mark(stamp: str) -> str:
    return hashlib.sha256(stamp.encode()).hexdigest()[:16]
