"""Who acts on behalf of the publisher, and on which lists: an operator, an API token, or the command line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from newsletter.domain.roles import Scope


class TooMuch(Exception):
    """Nobody gives more than they have. The message says what it was, in one line."""


@dataclass(frozen=True)
class Actor:
    """`name` is what the audit log says. Where `lists` is None they see all lists; another list is, to them,
    one that does not exist. Their rights end at `until`, where that is known."""

    name: str
    scopes: frozenset[Scope]
    lists: frozenset[UUID] | None = None
    network: str | None = None
    until: datetime | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def sees(self, list_id: UUID) -> bool:
        return self.lists is None or list_id in self.lists

    def must_cover(self, scopes: Collection[Scope], lists: Collection[UUID] | None) -> None:
        """Raise `TooMuch` unless they have these rights themselves, on these lists; None is all lists."""
        missing = sorted(set(scopes) - self.scopes)
        if missing:
            raise TooMuch(f"this takes rights that only others have: {', '.join(missing)}")
        if self.lists is not None and (lists is None or not self.lists.issuperset(lists)):
            raise TooMuch("this takes lists that only others see")


# Whoever may run commands may do everything.
COMMAND_LINE = Actor("command line", frozenset(Scope))
