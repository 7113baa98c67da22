"""The link by which an invited operator sets a password."""

from __future__ import annotations

from datetime import datetime

from newsletter.parts import parts
from newsletter.services.operators import OperatorView


def invitation_link(found: OperatorView, now: datetime) -> str:
    """A link that counts once, and for `newsletter.domain.tickets.LIFE`."""
    token = parts().tickets.invitation(found.id, found.stamp, now=now)
    return f"{parts().settings.base_url}/operator/welcome/{token}"
