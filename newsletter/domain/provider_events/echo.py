"""What we write into a mail so that a provider's events say which mail they are about.

It is the mail's id in the outbox, which is also in front of the @ of its Message-ID: random, and nothing
personal. Amazon and Mailgun tell the Message-ID. Postmark and SendGrid give mails another one, and tell
what certain headers hold instead; Mailgun is given its header, too, for events that leave the Message-ID out.
"""

from __future__ import annotations

import json
import re
from uuid import UUID

NAME = "newsletter-mail"

_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_BARE = re.compile(_ID)
_MESSAGE_ID = re.compile(rf"<?({_ID})@[^\s<>@]{{1,255}}>?")


def postmark_header(mail_id: UUID) -> tuple[str, str]:
    """Postmark takes it away and tells it as `Metadata`."""
    return f"X-PM-Metadata-{NAME}", str(mail_id)


def mailgun_header(mail_id: UUID) -> tuple[str, str]:
    """Mailgun tells it as `user-variables`."""
    return "X-Mailgun-Variables", json.dumps({NAME: str(mail_id)})


def sendgrid_header(mail_id: UUID) -> tuple[str, str]:
    """SendGrid takes it away and tells it among the fields of an event."""
    return "X-SMTPAPI", json.dumps({"unique_args": {NAME: str(mail_id)}})


def mail_of(echoed: str) -> UUID | None:
    """The mail that an echo names."""
    return UUID(echoed) if _BARE.fullmatch(echoed) else None


def mail_of_message_id(message_id: str) -> UUID | None:
    """The mail that has this Message-ID, with or without its angle brackets."""
    match = _MESSAGE_ID.fullmatch(message_id.strip())
    return UUID(match[1]) if match else None
