"""What one event says of one mail, in the words of all providers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from uuid import UUID

from newsletter.domain.returns import ReturnKind

# RFC 3463 §2. The digits around it would make it part of an address or of a version.
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_LONGEST_DIAGNOSTIC = 500
_LONGEST_KEY = 200

FAILED = "5.0.0"  # for good, and nobody says why
NO_SUCH_MAILBOX = "5.1.1"
REFUSED = "5.7.1"  # for what the mail or its sender is
LATER = "4.0.0"


class Forged(Exception):
    """The caller is not proved to be the provider. The message says what was wrong."""


class Unreadable(Exception):
    """It is no body that the provider would send. The message says why, in one line."""


class TooMany(Exception):
    """More events than a request may hold. The message says how many."""


@dataclass(frozen=True)
class Report:
    """One event about one mail. `mail_id` is None where the event does not carry what we wrote into our
    mails; `key` tells the event from every other, so that hearing of it twice is hearing of it once."""

    mail_id: UUID | None
    address: str
    kind: ReturnKind
    status: str | None
    diagnostic: str | None
    key: str

    @classmethod
    def of(
        cls,
        mail_id: UUID | None,
        address: str,
        kind: ReturnKind,
        *,
        key: str,
        status: str | None = None,
        diagnostic: str = "",
    ) -> Report:
        """A report of texts as a provider sends them."""
        return cls(
            mail_id,
            address,
            kind,
            status=status,
            diagnostic=_plain(diagnostic[:_LONGEST_DIAGNOSTIC]) or None,
            key=_plain(key[:_LONGEST_KEY]),
        )


def status_in(*texts: str, otherwise: str | None = None) -> str | None:
    """The first status code (RFC 3463) that the texts hold. One that tells nothing but its class (`5.0.0`) is
    taken only where there is no better one: `otherwise` is better if it is of the same class."""
    found = [code for text in texts for code in _STATUS.findall(text)]
    telling = [code for code in found if not code.endswith(".0.0")]
    bare = [code for code in found if otherwise is None or code[0] != otherwise[0]]
    return next(iter(telling + bare), otherwise)


def _plain(text: str) -> str:
    """On one line, without what a database cannot store."""
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text
    )
