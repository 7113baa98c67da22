"""What comes back of a mail, whoever brought it: an SMTP reply, a mail, a provider's event."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class ReturnKind(StrEnum):
    """What a mail system, or the reader, tells us."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True)
class Return:
    """One thing that came back. Whose it is, is known by the first of these that is set: `outbox_id`,
    `change_id`, `subscription_id`, `message_id`, `address`; each only from where it can be believed (a return
    path with our MAC, a link of ours, a provider's signature), never from the body of a mail (checklist B2).
    An `address` beside one of the others is where the mail went: what is not about the address they have now
    is about nobody. A `message_id` beside a subscription says which of its mails it is about.

    `status` is an RFC 3463 code, `diagnostic` what the other side said, `way` how it came to us (at most
    16 characters), and `key` the same whenever the same thing comes again.
    """

    kind: ReturnKind
    key: str
    way: str
    subscription_id: UUID | None = None
    message_id: str | None = None
    address: str | None = None
    status: str | None = None
    diagnostic: str | None = None
    outbox_id: UUID | None = None
    change_id: UUID | None = None  # of an address: the mail to the new one

    @property
    def digest(self) -> str:
        """The key in a width of its own, and without what it may tell."""
        return hashlib.sha256(self.key.encode("utf-8", "replace")).hexdigest()


def bounce_key(outbox_id: UUID, status: str) -> str:
    """The key of a bounce of one of our mails: the relay's own refusal and a report of it are the same."""
    return f"bounce:{outbox_id}:{status}"
