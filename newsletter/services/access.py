"""Who acts on behalf of the publisher, and on which lists: an operator, an API token, or the command line."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from newsletter.domain.roles import Scope


@dataclass(frozen=True)
class Actor:
    """`name` is what the audit log says. Where `lists` is None they see all lists; another list is, to them,
    one that does not exist."""

    name: str
    scopes: frozenset[Scope]
    lists: frozenset[UUID] | None = None
    network: str | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def sees(self, list_id: UUID) -> bool:
        return self.lists is None or list_id in self.lists


# Whoever may run commands may do everything.
COMMAND_LINE = Actor("command line", frozenset(Scope))
