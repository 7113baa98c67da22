"""The links that operators are given: to set a password, and to log in with a new browser."""

from __future__ import annotations

from datetime import datetime

from newsletter.parts import parts
from newsletter.services.operators import OperatorView


def invitation_link(found: OperatorView, now: datetime) -> str:
    """A link that counts once, and for `newsletter.domain.tickets.LIFE`."""
    token = parts().tickets.invitation(found.id, found.stamp, now=now)
    return f"{parts().settings.base_url}/operator/welcome/{token}"


def browser_link(found: OperatorView, now: datetime) -> str:
    """A link that marks the browser in which it is opened, for `newsletter.domain.tickets.BROWSER_LIFE`."""
    token = parts().tickets.browser(found.id, now=now)
    return f"{parts().settings.base_url}/operator/browser/{token}"
