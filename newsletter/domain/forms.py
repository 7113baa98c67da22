"""What a form carries to show how it was sent: a token of when it was drawn, one of a pressed button, and one
of the page on which the visitor began, where our own pages have come between.

None proves who sends it; a form without any is taken all the same, within stricter limits (E2, E3).
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadData, Signer

from newsletter.domain.signing import SignerAt

FORM_LIFE = timedelta(hours=24)
STEP_LIFE = timedelta(hours=1)
QUICKEST = timedelta(seconds=2)  # no person types an address faster (A5)
_LONGEST = 500
_LONGEST_PAGE = 1500  # a page and its origin, which evidence bounds, in base64


@dataclass(frozen=True)
class FormToken:
    """A form of ours that was drawn `age` ago. `id` tells it from others, so that its uses can be counted."""

    id: str
    age: timedelta

    @property
    def too_fast(self) -> bool:
        return self.age < QUICKEST


class FormTokens:
    """Makes and reads them. `keys` oldest first: the last one signs, all verify."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)

    def form(self, slug: str, *, now: datetime) -> str:
        """A token for one drawing of a list's form."""
        return self._form(slug, now).sign(secrets.token_urlsafe(9)).decode()

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
        return FormToken(value.decode(), max(age, timedelta()))

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

    def page(self, slug: str, origin: str | None, page: str | None) -> str:
        """A token for the site and the page on which somebody began to sign up. It never expires: how old it
        is makes no difference to what was seen."""
        value = urlsafe_b64encode(f"{origin or ''} {page or ''}".encode())
        return self._page(slug).sign(value).decode()

    def read_page(self, token: str | None, slug: str) -> tuple[str | None, str | None] | None:
        """The site and the page, either of which may be unknown; None where the token is not ours."""
        if not token or len(token) > _LONGEST_PAGE:
            return None
        try:
            value = urlsafe_b64decode(self._page(slug).unsign(token)).decode()
        except (BadData, ValueError):
            return None
        origin, _, page = value.partition(" ")
        return origin or None, page or None

    def _page(self, slug: str) -> Signer:
        return Signer(list(self._keys), salt=f"newsletter.page.v1:{slug}", digest_method=hashlib.sha256)

    def _form(self, slug: str, now: datetime) -> SignerAt:
        return SignerAt(self._keys, f"newsletter.form.v1:{slug}", now)

    def _step(self, slug: str, now: datetime) -> SignerAt:
        return SignerAt(self._keys, f"newsletter.step.v1:{slug}", now)


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
