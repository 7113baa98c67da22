"""What a form carries to show how it was sent: a token of when it was drawn, and one of a pressed button.

Neither proves who sends it; a form without any is taken all the same, within stricter limits (E2, E3).
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadData

from newsletter.domain.signing import SignerAt

FORM_LIFE = timedelta(hours=24)
STEP_LIFE = timedelta(hours=1)
QUICKEST = timedelta(seconds=2)  # no person types an address faster (A5)
_LONGEST = 500
_LONGEST_HOST = 200


@dataclass(frozen=True)
class FormToken:
    """A form of ours that was drawn `age` ago. `id` tells it from others, so that its uses can be counted.
    `host` is the site around it, where it was drawn in a frame that named it."""

    id: str
    age: timedelta
    host: str | None = None

    @property
    def too_fast(self) -> bool:
        return self.age < QUICKEST


class FormTokens:
    """Makes and reads them. `keys` oldest first: the last one signs, all verify."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)

    def form(self, slug: str, *, now: datetime, host: str | None = None) -> str:
        """A token for one drawing of a list's form, in a frame on the site `host` where that is known."""
        value = secrets.token_urlsafe(9)
        if host is not None and len(host) <= _LONGEST_HOST:
            value += "~" + urlsafe_b64encode(host.encode()).decode().rstrip("=")
        return self._form(slug, now).sign(value).decode()

    def read_form(self, token: str | None, slug: str, *, now: datetime) -> FormToken | None:
        """The token, where it is ours, for this list, and fresh."""
        signer = self._form(slug, now)
        if not token or len(token) > _LONGEST:
            return None
        try:
            value, signed_at = signer.unsign(token, return_timestamp=True)
        except (BadData, ValueError):
            return None
        age = now.replace(microsecond=0) - signed_at
        # A clock that is ahead may have signed it: as good as a fresh one.
        if age > FORM_LIFE:
            return None
        identifier, _, host = value.decode().partition("~")
        named = urlsafe_b64decode(host + "=" * (-len(host) % 4)).decode() if host else None
        return FormToken(identifier, max(age, timedelta()), named)

    def step(self, slug: str, identity: str, *, now: datetime) -> str:
        """A token for the button of the page that asks for one more step, for one address."""
        return self._step(slug, now).sign(_digest(identity)).decode()

    def read_step(self, token: str | None, slug: str, identity: str, *, now: datetime) -> bool:
        """Whether the button was one of ours, for this list and address, and is fresh."""
        signer = self._step(slug, now)
        if not token or len(token) > _LONGEST:
            return False
        try:
            value, signed_at = signer.unsign(token, return_timestamp=True)
        except (BadData, ValueError):
            return False
        return value.decode() == _digest(identity) and now - signed_at <= STEP_LIFE

    def _form(self, slug: str, now: datetime) -> SignerAt:
        return SignerAt(self._keys, f"newsletter.form.v1:{slug}", now)

    def _step(self, slug: str, now: datetime) -> SignerAt:
        return SignerAt(self._keys, f"newsletter.step.v1:{slug}", now)


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
