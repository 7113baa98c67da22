"""Where rules are tried: a copy of the service, or the service in public."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from newsletter.conformance.asking import Asker, Reply
from newsletter.conformance.clients import Press


@dataclass(frozen=True)
class Reader:
    """Somebody whose links are tried. In public it is nobody: a signed link to a subscription that is not."""

    subscription_id: UUID
    address: str
    leave: str  # path of the link in List-Unsubscribe
    confirm: str  # path of the link in a confirmation


class Place(Protocol):
    """A service whose links can be tried."""

    @property
    def asker(self) -> Asker:
        """What sends requests to it."""
        ...

    def reader(self) -> Reader:
        """Somebody new, who has signed up and got the confirmation."""
        ...

    def nobody(self) -> Reader:
        """Somebody whose subscription was erased."""
        ...

    def state(self, reader: Reader) -> str | None:
        """The state of the reader's subscription; None where it cannot be seen."""
        ...

    def departures(self, reader: Reader) -> int | None:
        """How often the reader was noted to have left."""
        ...


def press(place: Place, target: str, how: Press, **more: str) -> Reply:
    """Press «unsubscribe» in some way."""
    return place.asker.ask("POST", target, headers=how.headers | more, body=how.body, chunked=how.chunked)
